"""Find installed plugins by entry point, check each, ask it whether it is enabled, and say why not."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from metering import contracts, environment
from metering.contracts import CENTRAL, COLLECTOR, COMPUTE, NAMESPACES, Option
from metering.counters import Meter
from metering.environment import Environment
from metering.errors import PluginError

__all__ = (
    "CENTRAL", "COLLECTOR", "COMPUTE", "NAMESPACES", "Option", "Plugin",
    "check_claims", "conflicts", "enabled", "find", "load", "not_from_compute",
)  # fmt: skip

log = logging.getLogger(__name__)

Item = TypeVar("Item")

DEFINITIONS = "metering.definitions"  # entry points: functions that make plugins of a namespace from files


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
    version: str = "?"  # of the package

    @property
    def state(self) -> str:
        """``on``, ``off`` by somebody's will, or ``broken``."""
        return "on" if self.target is not None else "broken" if self.broken else "off"

    def left_out(self, reason: str) -> Plugin:
        """The same, off: it cannot work beside another one."""
        return replace(self, target=None, reason=reason)


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
    """As `find`, but without asking whether the plugins can work together.

    Each plugin is made, and asked whether it is enabled, once for each call: a process calls it at its start.
    """
    found = entry_points(group=namespace) if points is None else points
    loaded = [_load(point, settings, environ) for point in sorted(found, key=lambda point: point.name)]
    return loaded if points is not None else [*loaded, *_declared(namespace, settings, environ, loaded)]


def _declared(
    namespace: str, settings: Environment, environ: Mapping[str, str], installed: Iterable[Plugin]
) -> Iterator[Plugin]:
    """Plugins that are made from files. One whose name is taken already is left out; so is a pollster by its meter.

    Of listeners, who makes which meter of which event is compared where their event types are known.
    """
    on = [plugin for plugin in installed if plugin.target is not None]
    names = {plugin.name: plugin for plugin in on}
    meters = {name: plugin for plugin in on for name in _names(plugin)} if namespace != COLLECTOR else {}
    for plugin in _from_files(namespace, settings, environ):
        taken = names.get(plugin.name) or next((meters[name] for name in _names(plugin) if name in meters), None)
        if plugin.target is not None and plugin.name in settings.disabled_plugins:
            yield plugin.left_out("named in METERING_DISABLED_PLUGINS")
        elif plugin.target is not None and taken is not None:
            what = "name" if taken.name == plugin.name else "meter"
            yield plugin.left_out(f"its {what} is taken already, by {taken.name!r} ({taken.package})")
        else:
            if plugin.target is not None:
                names[plugin.name] = plugin
                meters |= dict.fromkeys(_names(plugin), plugin) if namespace != COLLECTOR else {}
            yield plugin


def _from_files(namespace: str, settings: Environment, environ: Mapping[str, str]) -> Iterator[Plugin]:
    for point in entry_points(group=DEFINITIONS):
        try:
            yield from point.load()(namespace, settings, environ)
        except Exception as exc:  # a fault of all files costs no installed plugin
            log.exception("%s: the plugins of definitions do not load", point.name)
            reason = f"{type(exc).__name__}: {exc}"
            yield Plugin(point.name, namespace, point.value, None, reason, broken=True)


def enabled(namespace: str, settings: Environment, environ: Mapping[str, str]) -> dict[str, Any]:
    """The plugins of a namespace that are on, by name."""
    return {plugin.name: plugin.target for plugin in find(namespace, settings, environ) if plugin.target is not None}


def _load(point: EntryPoint, settings: Environment, environ: Mapping[str, str]) -> Plugin:
    package, version = (point.dist.name, point.dist.version) if point.dist else ("?", "?")
    plugin = Plugin(point.name, point.group, package, None, None, version=version)
    unwanted = "named in METERING_DISABLED_PLUGINS" if point.name in settings.disabled_plugins else None
    made = None
    try:
        made = point.load()
        plugin = _showing(plugin, made)
        if unwanted is None:
            plugin = _made(plugin, made, settings, environ)
    except (Exception, SystemExit) as exc:  # a plugin is anybody's code: it costs itself only
        if unwanted is None:
            reason = str(exc) if isinstance(exc, PluginError) else f"{type(exc).__name__}: {exc}"
            # What breaks the contract is said in one line; of what raised, the traceback is kept.
            trace = None if isinstance(exc, PluginError) else exc
            log.error("plugin %s of %s %s is off: %s", point.name, package, version, reason, exc_info=trace)
            return replace(plugin, reason=reason, broken=True)
    return plugin if unwanted is None else replace(plugin, reason=unwanted)


def _showing(plugin: Plugin, made: Any) -> Plugin:
    """With the meters and options it names, whatever its state: `manage.py plugins` shows them."""
    options = _those(Option, getattr(made, "options", ())) or plugin.options
    return replace(plugin, meters=_those(Meter, getattr(made, "meters", ())), options=options)


def _those(kind: type[Item], named: Any) -> tuple[Item, ...]:
    """What a plugin, which may be broken, names of one kind."""
    return tuple(item for item in named if isinstance(item, kind)) if isinstance(named, tuple) else ()


def _made(plugin: Plugin, made: Any, settings: Environment, environ: Mapping[str, str]) -> Plugin:
    """The plugin on, or off by its own word. Raises `PluginError` that says every fault of a broken contract."""
    _refuse(contracts.faults_of_maker(made))
    target = made(_values(plugin.options, environ)) if plugin.options else made()
    _refuse(contracts.faults_of_plugin(plugin.namespace, target))
    reason = target.enabled(settings) if hasattr(target, "enabled") else None
    if reason is not None and not isinstance(reason, str):
        raise PluginError(f"its enabled() must return a reason to be off or None, not {reason!r}")
    plugin = _showing(plugin, target)  # which may know its meters only now
    return replace(plugin, reason=reason) if reason else replace(plugin, target=target)


def _refuse(faults: Iterable[str]) -> None:
    if found := list(faults):
        raise PluginError("; ".join(found))


def _values(options: tuple[Option, ...], environ: Mapping[str, str]) -> dict[str, str]:
    """The value of each option. Raises `PluginError` that names those which must be set and are not."""
    values = {option.name: environment.value(environ, option.name, option.default) for option in options}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise PluginError(f"{', '.join(missing)} must be set")
    return {name: value for name, value in values.items() if value is not None}


def check_claims(plugins: Sequence[Plugin]) -> None:
    """Raises `PluginError` when two enabled plugins have one name, or two pollsters claim one meter."""
    found = list(conflicts(plugins))
    if found:
        raise PluginError("; ".join(found))


def conflicts(plugins: Sequence[Plugin]) -> Iterator[str]:
    """Which enabled plugins cannot work together, and why."""
    on = [plugin for plugin in plugins if plugin.target is not None]
    for one, other in itertools.combinations(on, 2):
        if one.namespace != other.namespace:
            continue
        if one.name == other.name:
            yield (
                f"{one.namespace}: {one.package} and {other.package} both have a plugin named {one.name!r}; "
                "uninstall one of them"
            )
        # Of listeners, who makes which meter of which event is compared where their event types are known.
        elif one.namespace != COLLECTOR and (both := _names(one) & _names(other)):
            meters = f"the meter{'s' if len(both) > 1 else ''} {', '.join(map(repr, sorted(both)))}"
            yield (
                f"{one.namespace}: plugins {one.name!r} ({one.package}) and {other.name!r} ({other.package}) "
                f"both claim {meters}; name one of them in METERING_DISABLED_PLUGINS"
            )


def _names(plugin: Plugin) -> set[str]:
    return {meter.name for meter in plugin.meters}


def not_from_compute(settings: Environment, environ: Mapping[str, str]) -> frozenset[str]:
    """The meters that a compute host may not send: those that only central pollsters or listeners here claim."""

    def claimed(namespace: str) -> set[str]:
        return {name for plugin in load(namespace, settings, environ) for name in _names(plugin)}

    return frozenset((claimed(CENTRAL) | claimed(COLLECTOR)) - claimed(COMPUTE))
