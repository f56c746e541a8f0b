"""Find installed plugins by entry point, ask each whether it is enabled, and say why not."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from metering.counters import Meter
from metering.environment import Environment
from metering.errors import PluginError

log = logging.getLogger(__name__)

Kind = TypeVar("Kind")

COMPUTE = "metering.poll.compute"
CENTRAL = "metering.poll.central"
COLLECTOR = "metering.collector"
NAMESPACES = (COMPUTE, CENTRAL, COLLECTOR)
_WORK = {COMPUTE: "poll", CENTRAL: "poll", COLLECTOR: "counters"}  # the method without which it is no plugin


@dataclass(frozen=True, slots=True)
class Option:
    """A setting that a plugin adds: the environment variable ``name``; ``default`` None makes it required."""

    name: str
    default: str | None
    help: str


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed plugin, and what it is here: on (``target`` is it) or off (``reason`` says why)."""

    name: str  # of its entry point: what METERING_DISABLED_PLUGINS names
    namespace: str
    package: str  # the distribution that brought it
    target: Any | None
    reason: str | None
    meters: tuple[Meter, ...] = ()
    options: tuple[Option, ...] = ()
    broken: bool = False  # off by no one's will


def find(
    namespace: str,
    settings: Environment,
    environ: Mapping[str, str],
    points: Iterable[EntryPoint] | None = None,
) -> list[Plugin]:
    """Every installed plugin of a namespace, by name. A broken one is off, with its reason.

    Raises `PluginError` when two enabled plugins have one name, or two pollsters claim one meter.
    """
    plugins = load(namespace, settings, environ, points)
    check_claims(plugins)
    return plugins


def load(
    namespace: str,
    settings: Environment,
    environ: Mapping[str, str],
    points: Iterable[EntryPoint] | None = None,
) -> list[Plugin]:
    """As `find`, but without asking whether the plugins can work together."""
    found = entry_points(group=namespace) if points is None else points
    return [_load(point, settings, environ) for point in sorted(found, key=lambda point: point.name)]


def enabled(namespace: str, settings: Environment, environ: Mapping[str, str]) -> dict[str, Any]:
    """The plugins of a namespace that are on, by name."""
    return {plugin.name: plugin.target for plugin in find(namespace, settings, environ) if plugin.target is not None}


def _load(point: EntryPoint, settings: Environment, environ: Mapping[str, str]) -> Plugin:
    package = point.dist.name if point.dist else "?"
    made = None
    try:
        made = point.load()
        target, reason = _made(point, made, settings, environ)
        broken = False
    except Exception as exc:  # a plugin is anybody's code: it costs itself only
        log.exception("plugin %s of %s does not load", point.name, package)
        target, reason, broken = None, f"{type(exc).__name__}: {exc}", True
    meters, options = _those(Meter, getattr(made, "meters", ())), _those(Option, getattr(made, "options", ()))
    return Plugin(point.name, point.group, package, target, reason, meters, options, broken)


def _those(kind: type[Kind], named: Any) -> tuple[Kind, ...]:
    """What a plugin, which may be broken, names of one kind."""
    return tuple(item for item in named if isinstance(item, kind)) if isinstance(named, tuple) else ()


def _made(
    point: EntryPoint, made: Any, settings: Environment, environ: Mapping[str, str]
) -> tuple[Any | None, str | None]:
    """The constructed plugin, or None and why somebody wants it off. Raises `PluginError` for a broken contract."""
    if fault := _fault(point, made):
        raise PluginError(fault)
    if point.name in settings.disabled_plugins:
        return None, "named in METERING_DISABLED_PLUGINS"
    options = getattr(made, "options", ())
    target = made(_values(options, environ)) if options else made()
    reason = target.enabled(settings) if hasattr(target, "enabled") else None
    return (None, reason) if reason else (target, None)


def _fault(point: EntryPoint, made: Any) -> str | None:
    """How a plugin breaks its contract, if it does."""
    work = _WORK.get(point.group, "poll")
    if not callable(getattr(made, work, None)):
        return f"it has no method {work}()"
    meters = getattr(made, "meters", None)
    if not isinstance(meters, tuple) or not all(isinstance(meter, Meter) for meter in meters):
        return "its 'meters' must be a tuple of Meter"
    if point.group == COLLECTOR and not isinstance(getattr(made, "exchange", None), str):
        return "its 'exchange' must be the name of one"
    options = getattr(made, "options", ())
    if not isinstance(options, tuple) or not all(isinstance(option, Option) for option in options):
        return "its 'options' must be a tuple of Option"
    return None


def _values(options: tuple[Option, ...], environ: Mapping[str, str]) -> dict[str, str]:
    values = {option.name: environ.get(option.name, option.default) for option in options}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise PluginError(f"{', '.join(missing)} must be set")
    return {name: value for name, value in values.items() if value is not None}


def check_claims(plugins: Iterable[Plugin]) -> None:
    """Raises `PluginError` when two enabled plugins have one name, or two pollsters claim one meter."""
    names: set[str] = set()
    claims: dict[str, str] = {}
    for plugin in (plugin for plugin in plugins if plugin.target is not None):
        if plugin.name in names:
            raise PluginError(f"{plugin.namespace}: two plugins are named {plugin.name!r}")
        names.add(plugin.name)
        for meter in plugin.meters if plugin.namespace != COLLECTOR else ():
            other = claims.setdefault(meter.name, plugin.name)
            if other != plugin.name:
                raise PluginError(
                    f"{plugin.namespace}: plugins {other!r} and {plugin.name!r} both claim the meter {meter.name!r}; "
                    "name one of them in METERING_DISABLED_PLUGINS"
                )


def not_from_compute(settings: Environment, environ: Mapping[str, str]) -> frozenset[str]:
    """The meters that a compute host may not send: those that only central pollsters or listeners here claim."""

    def claimed(namespace: str) -> set[str]:
        return {meter.name for plugin in find(namespace, settings, environ) for meter in plugin.meters}

    return frozenset((claimed(CENTRAL) | claimed(COLLECTOR)) - claimed(COMPUTE))
