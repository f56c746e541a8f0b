"""A definition: which event types it is for, and which traits it makes of their notifications."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collector.events.conversions import convert
from collector.events.plugins import Plugin
from collector.paths import Accessor
from metering.errors import BadEvent
from metering.events import Trait, TraitType


@dataclass(frozen=True, slots=True)
class TraitDefinition:
    """One trait: where its value stands, what type it has, and what a plugin makes of it."""

    name: str
    type: TraitType
    fields: tuple[tuple[str, Accessor], ...]  # alternatives, the first with a value counts
    plugin: Plugin | None = None

    def trait(self, document: Mapping[str, Any]) -> Trait | None:
        """The trait of a notification; None where it says nothing. Raises `BadEvent`."""
        try:
            value = convert(self.type, self._value(document))
        except BadEvent as exc:
            raise BadEvent(f"trait {self.name}: {exc}") from exc
        return None if value is None else Trait(self.name, self.type, value)

    def _value(self, document: Mapping[str, Any]) -> Any:
        if self.plugin is not None:
            found = [(field, value) for field, find in self.fields for value in find(document) if value is not None]
            return self.plugin(found)
        for _, find in self.fields:
            for value in find(document):
                if value is not None:
                    return value
        return None


class EventTypes:
    """Event types as globs; one behind ``!`` is left out, and nothing but those means all others."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.patterns = patterns
        self._left_out = _any(pattern[1:] for pattern in patterns if pattern.startswith("!"))
        self._taken = _any(pattern for pattern in patterns if not pattern.startswith("!"))

    def __contains__(self, event_type: str) -> bool:
        if self._left_out is not None and self._left_out.match(event_type):
            return False
        return self._taken is None or self._taken.match(event_type) is not None


def _any(globs: Any) -> re.Pattern[str] | None:
    """What fits one of the globs; None of no globs."""
    expressions = [fnmatch.translate(glob) for glob in globs]
    return re.compile("|".join(expressions)) if expressions else None


@dataclass(frozen=True, slots=True)
class Definition:
    """What is kept of the events of some types."""

    where: str  # file:line
    event_types: EventTypes
    traits: tuple[TraitDefinition, ...]
