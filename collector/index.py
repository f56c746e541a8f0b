"""Which listeners want which notification: looked up, not searched."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from collector.events.keeping import EventKeeper, keeper_of
from collector.notification import DEFAULT_TOPICS, Listener, Relay
from metering import plugins
from metering.environment import Environment
from metering.errors import PluginError

REMEMBERED = 4_096  # event types; a flood of made-up ones must not fill the memory


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


class Index:
    """Event type to subscriptions. A type that was asked for before costs one look-up."""

    def __init__(self, subscriptions: Iterable[Subscription], events: EventKeeper | None = None) -> None:
        self.events = events
        self.subscriptions, self.left_out = _without_rivals(subscriptions)
        self._exact: dict[tuple[str, str], list[Subscription]] = {}
        self._globs: dict[str, list[tuple[re.Pattern[str], Subscription]]] = {}
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
        if self.events is not None:
            for exchange in self.events.exchanges:
                wanted.setdefault(exchange, set()).update(self.events.topics)
        return {exchange: tuple(sorted(topics)) for exchange, topics in sorted(wanted.items())}

    def exchanges(self, event_type: str) -> tuple[str, ...]:
        """The exchanges on which somebody waits for this event type."""
        found = tuple(exchange for exchange in self.topics if self.find(exchange, event_type))
        return found or (("",) if self.events is not None else ())  # an event is the same from any

    def _add(self, subscription: Subscription, event_type: str) -> None:
        if _is_glob(event_type):
            pattern = re.compile(fnmatch.translate(event_type))
            self._globs.setdefault(subscription.exchange, []).append((pattern, subscription))
        else:
            self._exact.setdefault((subscription.exchange, event_type), []).append(subscription)

    def _find(self, exchange: str, event_type: str) -> tuple[Subscription, ...]:
        """Who wants this event type from this exchange, each once, by name."""
        wanting = {found.name: found for found in self._exact.get((exchange, event_type), ())}
        for pattern, found in self._globs.get(exchange, ()):
            if pattern.match(event_type):
                wanting[found.name] = found
        return tuple(wanting[name] for name in sorted(wanting))


def load(settings: Environment, environ: Mapping[str, str] = os.environ) -> Index:
    """The index of the listeners that are installed and on. Raises `PluginError` for one that breaks its contract."""
    listeners = plugins.enabled(plugins.COLLECTOR, settings, environ)
    subscriptions = [subscribe(name, listener) for name, listener in listeners.items()]
    return Index(subscriptions, keeper_of(settings.events))


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
    if field == "event_types" and any("[" in item for item in names):
        raise PluginError(f"listener {name!r}: event_types are exact or have * and ?, nothing else: {value!r}")
    return names


def _is_glob(event_type: str) -> bool:
    return "*" in event_type or "?" in event_type


def _without_rivals(subscriptions: Iterable[Subscription]) -> tuple[tuple[Subscription, ...], dict[str, str]]:
    """Those that can work together, and why each other one cannot.

    Two that make one meter of one event type would bill it twice: the later by name is left out.
    """
    kept: list[Subscription] = []
    left_out: dict[str, str] = {}
    for subscription in sorted(subscriptions, key=lambda one: one.name):
        reasons = (_rivalry(subscription, earlier) for earlier in kept)
        reason = next((reason for reason in reasons if reason), None)
        if reason is None:
            kept.append(subscription)
        else:
            left_out[subscription.name] = reason
    return tuple(kept), left_out


def _rivalry(one: Subscription, other: Subscription) -> str | None:
    meters = one.meters & other.meters
    if one.exchange != other.exchange or not meters:
        return None
    for mine in one.event_types:
        for theirs in other.event_types:
            if overlap(mine, theirs):
                return f"{other.name!r} makes {', '.join(sorted(meters))} of {theirs} too"
    return None


@lru_cache(maxsize=REMEMBERED)
def overlap(one: str, other: str) -> bool:
    """Whether some event type fits both, each exact or with ``*`` and ``?``."""
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return overlap(one[1:], other) or overlap(one, other[1:])
    if other[0] == "*":
        return overlap(other, one)
    return (one[0] == other[0] or "?" in (one[0], other[0])) and overlap(one[1:], other[1:])
