"""What a plugin must have, for each namespace. Pure Python, and asked of the plugin itself: it needs no base class.

The Protocols with the meaning of each part are `pollsters.runner.ComputePollster`, `NodePollster` and
`CentralPollster`, and `collector.notification.Listener`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from metering.bounds import check_series
from metering.counters import Kind, Meter
from metering.errors import MalformedMessage

COMPUTE = "metering.poll.compute"
CENTRAL = "metering.poll.central"
COLLECTOR = "metering.collector"
NAMESPACES = (COMPUTE, CENTRAL, COLLECTOR)

# The methods, each with the arguments it is called with.
METHODS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    COMPUTE: {"poll": ("instance", "hypervisor")},
    CENTRAL: {"places": (), "poll": ("place",)},
    COLLECTOR: {"counters": ("notification",)},
}
# Those of a compute plugin that reads the host itself instead of its guests.
NODE_WIDE: Mapping[str, tuple[str, ...]] = {"poll_node": ("node",)}
# Those of a listener that hands on what others have metered and signed.
RELAY: Mapping[str, tuple[str, ...]] = {"whole": ("notification",)}


@dataclass(frozen=True, slots=True)
class Option:
    """A setting that a plugin adds: the environment variable ``name``; ``default`` None makes it required."""

    name: str
    default: str | None
    help: str


def faults_of_maker(made: Any) -> Iterator[str]:
    """How what the entry point names breaks the contract, before it is called."""
    if not callable(made):
        yield f"its entry point must name a class, or a function that makes the plugin, not {_a(made)}"
        return
    options = getattr(made, "options", ())
    if not isinstance(options, tuple) or not all(isinstance(option, Option) for option in options):
        yield "its 'options' must be a tuple of Option"
        return
    for option in options:
        if not isinstance(option.name, str) or not re.fullmatch(r"[A-Z][A-Z0-9_]*", option.name):
            yield f"an option's name must be that of an environment variable, not {option.name!r}"
        if option.default is not None and not isinstance(option.default, str):
            yield f"the default of {option.name} must be a text, or None where it must be set"
    if len({option.name for option in options}) < len(options):
        yield "two of its options have one name"


def faults_of_plugin(namespace: str, plugin: Any) -> Iterator[str]:
    """How a plugin breaks the contract of its namespace."""
    relays = namespace == COLLECTOR and hasattr(plugin, "whole")
    methods = NODE_WIDE if namespace == COMPUTE and hasattr(plugin, "poll_node") else METHODS.get(namespace, {})
    for name, arguments in (RELAY if relays else methods).items():
        yield from _faults_of_method(plugin, name, arguments)
    if hasattr(plugin, "enabled"):
        yield from _faults_of_method(plugin, "enabled", ("settings",))
    meters = getattr(plugin, "meters", None)
    if not (relays and meters == ()):  # what others metered may be any meter
        yield from _faults_of_meters(meters)
    if namespace == COMPUTE:
        needs: object = getattr(plugin, "needs", frozenset())
        if not isinstance(needs, frozenset) or not all(isinstance(need, StrEnum) for need in needs):
            yield "its 'needs' must be a frozenset of Statistic"
    if namespace == COLLECTOR:
        exchange = getattr(plugin, "exchange", None)
        if not isinstance(exchange, str) or not exchange:
            yield "its 'exchange' must be the name of one"
        yield from _faults_of_texts("event_types", getattr(plugin, "event_types", None))
        yield from _faults_of_texts("topics", getattr(plugin, "topics", ("notifications.info",)))


def _faults_of_method(plugin: Any, name: str, arguments: tuple[str, ...]) -> Iterator[str]:
    called = f"{name}({', '.join(arguments)})"
    method: Callable[..., Any] | None = getattr(plugin, name, None)
    if not callable(method):
        yield f"it has no method {called}"
        return
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        yield f"its {name}() must not be async"
    try:
        inspect.signature(method).bind(*arguments)
    except TypeError as exc:
        yield f"it is called as {called}, and its own does not take that: {exc}"
    except ValueError:
        return  # written in C: only a call can tell


def _faults_of_meters(meters: Any) -> Iterator[str]:
    if not isinstance(meters, tuple) or not meters or not all(isinstance(meter, Meter) for meter in meters):
        yield "its 'meters' must be a tuple of Meter, not empty"
        return
    for meter in meters:
        try:
            check_series(meter.name, str(meter.kind), meter.unit, None, None, "r")
        except MalformedMessage as exc:
            yield f"its meter {str(meter.name)[:40]!r}: {exc}"
            continue
        if not isinstance(meter.kind, Kind):
            yield f"its meter {meter.name!r} must have a Kind, not {meter.kind!r}"
    names = [meter.name for meter in meters]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"it names the meter {name!r} twice"


def _faults_of_texts(name: str, value: Any) -> Iterator[str]:
    # A text is a sequence of texts too: the classic slip of a tuple without its comma.
    texts = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else ()
    if not texts or not all(isinstance(text, str) and text for text in texts):
        yield f"its {name!r} must be a tuple of texts, not {value!r}"
    elif name == "event_types" and any("[" in text for text in texts):
        yield f"its 'event_types' are exact or have * and ?, nothing else: {value!r}"


def _a(made: object) -> str:
    return "a module" if inspect.ismodule(made) else f"a {type(made).__name__}"
