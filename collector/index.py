"""Which listeners want which notification: looked up, not searched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from collector import nova_forms
from collector.event_types import REMEMBERED, compiled, is_pattern, is_regex, overlap
from collector.events.keeping import EventKeeper, keeper_of
from collector.notification import DEFAULT_TOPICS, Listener, Relay
from metering import plugins
from metering.environment import Environment
from metering.errors import PluginError


@dataclass(frozen=True, slots=True)
class Subscription:
    """A listener by its name, and what it listens to, checked."""

    name: str
    listener: Any  # a Listener, or a Relay
    exchange: str
    topics: tuple[str, ...]
    event_types: tuple[str, ...]
    relays: bool = False  # hands on what others signed

    def hears(self, priority: str) -> bool:
        """Whether it listens to what is said with this priority."""
        return any(topic.rpartition(".")[2] in (priority, "*", "#") for topic in self.topics)

    @property
    def meters(self) -> frozenset[str]:
        return frozenset(meter.name for meter in self.listener.meters)


@dataclass(frozen=True, slots=True)
class Unread:
    """Notifications that come beside others which tell the same: they are acknowledged, counted, and not metered."""

    exchange: str
    topics: tuple[str, ...]
    event_types: re.Pattern[str]


class Index:
    """Event type to subscriptions. A type that was asked for before costs one look-up."""

    def __init__(
        self, subscriptions: Iterable[Subscription], events: EventKeeper | None = None, unread: Unread | None = None
    ) -> None:
        self.events = events
        self.subscriptions, self.left_out = _without_rivals(subscriptions)
        self._unread = unread
        self._exact: dict[tuple[str, str], list[Subscription]] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], Subscription]]] = {}
        for subscription in self.subscriptions:
            for event_type in subscription.event_types:
                self._add(subscription, event_type)
        self.relayed = frozenset(found.exchange for found in self.subscriptions if found.relays)
        self.find = lru_cache(maxsize=REMEMBERED)(self._find)

    @property
    def topics(self) -> dict[str, tuple[str, ...]]:
        """Every exchange that somebody listens to, with the routing keys that are wanted from it."""
        wanted: dict[str, set[str]] = {}
        for subscription in self.subscriptions:
            wanted.setdefault(subscription.exchange, set()).update(subscription.topics)
        if self._unread is not None and self._unread.exchange in wanted:
            wanted[self._unread.exchange].update(self._unread.topics)
        if self.events is not None:
            for exchange in self.events.exchanges:
                wanted.setdefault(exchange, set()).update(self.events.topics)
        return {exchange: tuple(sorted(topics)) for exchange, topics in sorted(wanted.items())}

    def exchanges(self, event_type: str) -> tuple[str, ...]:
        """The exchanges on which somebody waits for this event type."""
        found = tuple(exchange for exchange in self.topics if self.find(exchange, event_type))
        return found or (("",) if self.events is not None else ())  # an event is the same from any

    def is_unread(self, exchange: str, event_type: str | None) -> bool:
        """Whether it is of the form that is not metered, as opposed to one that is unknown."""
        unread = self._unread
        if unread is None or event_type is None or exchange != unread.exchange:
            return False
        return unread.event_types.match(event_type) is not None

    def _add(self, subscription: Subscription, event_type: str) -> None:
        if is_pattern(event_type):
            self._patterns.setdefault(subscription.exchange, []).append((compiled(event_type), subscription))
        else:
            self._exact.setdefault((subscription.exchange, event_type), []).append(subscription)

    def _find(self, exchange: str, event_type: str) -> tuple[Subscription, ...]:
        """Who wants this event type from this exchange, each once, by name."""
        wanting = {found.name: found for found in self._exact.get((exchange, event_type), ())}
        for pattern, found in self._patterns.get(exchange, ()):
            if pattern.match(event_type):
                wanting[found.name] = found
        return tuple(wanting[name] for name in sorted(wanting))


def load(settings: Environment, environ: Mapping[str, str] = os.environ) -> Index:
    """The index of the listeners that are installed and on. Raises `PluginError` for one that breaks its contract."""
    listeners = plugins.enabled(plugins.COLLECTOR, settings, environ)
    subscriptions = [subscribe(name, listener) for name, listener in listeners.items()]
    unread = Unread("nova", *nova_forms.other_than(settings.nova_notifications))
    return Index(subscriptions, keeper_of(settings.events), unread)


def subscribe(name: str, listener: Any) -> Subscription:
    """What a listener listens to. Raises `PluginError`, which names it, where it breaks the contract of `Listener`."""
    if not isinstance(listener, Listener | Relay):
        raise PluginError(f"listener {name!r} needs exchange, event_types, meters and counters(), or whole()")
    if not isinstance(listener.exchange, str) or not listener.exchange:
        raise PluginError(f"listener {name!r}: exchange must be the name of one, not {listener.exchange!r}")
    return Subscription(
        name,
        listener,
        listener.exchange,
        topics=_names(name, "topics", getattr(listener, "topics", DEFAULT_TOPICS)),
        event_types=_names(name, "event_types", listener.event_types),
        relays=isinstance(listener, Relay),
    )


def _names(name: str, field: str, value: object) -> tuple[str, ...]:
    # A text is a sequence of texts too: the classic slip of a tuple without its comma.
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise PluginError(f"listener {name!r}: {field} must be a tuple of texts, not {value!r}")
    names = tuple(value)
    if not names or not all(isinstance(item, str) and item for item in names):
        raise PluginError(f"listener {name!r}: {field} must be a tuple of texts, not {value!r}")
    if field == "event_types" and any("[" in item and not is_regex(item) for item in names):
        raise PluginError(f"listener {name!r}: event_types are exact or have * and ?, nothing else: {value!r}")
    return names


def _without_rivals(subscriptions: Iterable[Subscription]) -> tuple[tuple[Subscription, ...], dict[str, str]]:
    """Those that can work together, and why each other one cannot.

    Two that make one meter of one event type would bill it twice: the later by name is left out.
    """
    kept: list[Subscription] = []
    left_out: dict[str, str] = {}
    claims: dict[tuple[str, str], list[Subscription]] = {}  # exchange and meter -> who makes it
    for subscription in sorted(subscriptions, key=lambda one: one.name):
        rivals = {
            rival.name: rival
            for meter in subscription.meters
            for rival in claims.get((subscription.exchange, meter), ())
        }
        reasons = (_rivalry(subscription, rivals[name]) for name in sorted(rivals))
        reason = next((reason for reason in reasons if reason), None)
        if reason is not None:
            left_out[subscription.name] = reason
            continue
        kept.append(subscription)
        for meter in subscription.meters:
            claims.setdefault((subscription.exchange, meter), []).append(subscription)
    return tuple(kept), left_out


def _rivalry(one: Subscription, other: Subscription) -> str | None:
    for mine in one.event_types:
        for theirs in other.event_types:
            if overlap(mine, theirs):
                meters = one.meters & other.meters
                return f"{other.name!r} makes {', '.join(sorted(meters))} of {theirs} too"
    return None
