"""What the consumer has when events are kept: who makes them, and what must be read for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collector.events.converter import Converter
from collector.events.files import load
from metering.event_settings import TOPICS, EventSettings


@dataclass(frozen=True, slots=True)
class EventKeeper:
    """The converter, and the exchanges and routing keys whose notifications become events."""

    converter: Converter
    exchanges: tuple[str, ...]
    topics: tuple[str, ...] = TOPICS
    faults: tuple[str, ...] = ()  # of the definitions that are left out


def keeper_of(settings: EventSettings) -> EventKeeper | None:
    """By the settings; None where events are not kept."""
    if not settings.kept:
        return None
    definitions, faults = load(Path(path) for path in settings.definitions)
    converter = Converter(definitions, drop_unmatched=settings.drop_unmatched, store_raw=settings.store_raw)
    return EventKeeper(converter, settings.exchanges, faults=tuple(faults))
