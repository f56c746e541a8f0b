"""From a notification to its event: the last definition that fits its type says which traits are kept."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from collector.events.conversions import TYPES
from collector.events.definition import Definition, TraitDefinition
from collector.notification import Notification
from collector.paths import accessor
from metering.bounds import check_text, timestamp_text
from metering.errors import BadEvent, MalformedMessage
from metering.events import MOST_RAW, Event, Trait
from metering.identity import EPOCH
from metering.signing import canonical

log = logging.getLogger(__name__)

REMEMBERED = 4_096  # event types; a flood of made-up ones must not fill the memory

# Kept of every event. What the payload says goes before the context, which tells who asked, not whose it is.
DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "service": ("publisher_id",),
    "request_id": ("ctxt.request_id",),
    "project_id": ("payload.tenant_id", "payload.project_id", "ctxt.project_id", "ctxt.tenant_id", "ctxt.tenant"),
    "user_id": ("payload.user_id", "ctxt.user_id", "ctxt.user"),
    "tenant_id": ("payload.tenant_id", "payload.project_id", "ctxt.project_id", "ctxt.tenant_id", "ctxt.tenant"),
}
_DEFAULT_TRAITS = {
    name: TraitDefinition(name, TYPES["text"], tuple((path, accessor(path)) for path in paths))
    for name, paths in DEFAULTS.items()
}


class Converter:
    """Makes events by definitions, the later of which go before the earlier."""

    def __init__(
        self, definitions: Iterable[Definition], *, drop_unmatched: bool = False, store_raw: Sequence[str] = ()
    ) -> None:
        self._definitions = tuple(reversed(list(definitions)))
        self._drop_unmatched = drop_unmatched
        self._store_raw = frozenset(store_raw)  # priorities
        self._traits_of = lru_cache(maxsize=REMEMBERED)(self._find)

    def event(self, notification: Notification) -> Event | None:
        """The event that is kept of a notification; None when none is. Raises `BadEvent` when it cannot be one."""
        definitions = self._traits_of(notification.event_type)
        if definitions is None:
            return None
        _check(notification)
        document = document_of(notification)
        traits: list[Trait] = []
        for definition in definitions:
            trait = definition.trait(document)
            if trait is not None:
                traits.append(trait)
        raw = _raw(document, notification) if notification.priority in self._store_raw else None
        return Event(notification.message_id, notification.event_type, notification.timestamp, tuple(traits), raw)

    def _find(self, event_type: str) -> tuple[TraitDefinition, ...] | None:
        """The traits of this event type, by name; None when its events are dropped."""
        fitting = (definition for definition in self._definitions if event_type in definition.event_types)
        found = next(fitting, None)
        if found is None and self._drop_unmatched:
            return None
        own = {trait.name: trait for trait in found.traits} if found is not None else {}
        traits = {**_DEFAULT_TRAITS, **own}
        return tuple(traits[name] for name in sorted(traits))


def document_of(notification: Notification) -> dict[str, Any]:
    """The notification as the definitions' paths see it. Of its context there are ids only."""
    return {
        "event_type": notification.event_type,
        "publisher_id": notification.publisher_id,
        "priority": notification.priority,
        "payload": notification.payload,
        "ctxt": notification.context,
        "metadata": {
            "message_id": notification.message_id,
            "timestamp": timestamp_text(notification.timestamp),
        },
    }


def _check(notification: Notification) -> None:
    """Raise `BadEvent` for what the store would refuse: here the notification is still at hand, and is kept."""
    try:
        check_text("message_id", notification.message_id)
        check_text("event_type", notification.event_type)
    except MalformedMessage as exc:
        raise BadEvent(str(exc)) from exc
    if notification.timestamp < EPOCH:
        raise BadEvent(f"its time {notification.timestamp} lies before 1970")


def _raw(document: Mapping[str, Any], notification: Notification) -> str | None:
    try:
        text = canonical(document)
    except MalformedMessage as exc:
        raise BadEvent(str(exc)) from exc
    if len(text) <= MOST_RAW:
        return text
    log.warning(
        "%s %s is kept without its notification, which is longer than %d characters",
        notification.event_type, notification.message_id, MOST_RAW,
    )  # fmt: skip
    return None
