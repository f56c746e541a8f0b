"""System checks: what would make a bill wrong, or a process useless, is said before it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from typing import Any

from django.core import checks

from metering import environment, plugins, sources
from metering.environment import Environment
from metering.plugins import Plugin
from metering.sources import Source

CHECKS = "metering.checks"  # entry points: (settings, environ) -> faults of files


@checks.register("metering")
def secrets_are_set(**_: Any) -> list[checks.CheckMessage]:
    """Nothing is ever stored or sent unsigned."""
    settings = environment.load(os.environ)
    if settings.secrets or settings.node_key:
        return []
    return [
        checks.Warning(
            "neither METERING_SECRETS nor METERING_NODE_KEY is set: nothing can sign or verify", id="metering.W001"
        )
    ]


@checks.register("metering")
def plugins_and_sources_are_sound(**_: Any) -> list[checks.CheckMessage]:
    """Every installed plugin loads, no meter is claimed twice, and the sources file fits the meters that are there."""
    settings = environment.load(os.environ)
    # Once for all that is asked of them: each is made, and asked whether it is enabled, when it is loaded.
    found = [plugin for name in plugins.NAMESPACES for plugin in plugins.load(name, settings, os.environ)]
    return [*_of_plugins(found), *_of_sources(settings, found)]


@checks.register("metering")
def files_are_sound(**_: Any) -> list[checks.CheckMessage]:
    """What the installed packages have to say of the files that an operator gave them."""
    settings = environment.load(os.environ)
    found = [fault for point in entry_points(group=CHECKS) for fault in point.load()(settings, os.environ)]
    return [checks.Warning(f"left out: {fault}", id="metering.W005") for fault in found]


def _of_plugins(found: Sequence[Plugin]) -> Iterator[checks.CheckMessage]:
    for plugin in found:
        if plugin.broken:
            said = f"{plugin.namespace}: {plugin.name} of {plugin.package} {plugin.version} is off: {plugin.reason}"
            yield checks.Warning(said, id="metering.W002")
    for conflict in plugins.conflicts(found):
        yield checks.Error(conflict, id="metering.E001")


def _of_sources(settings: Environment, found: Sequence[Plugin]) -> Iterator[checks.CheckMessage]:
    known, faults = sources.read(settings.sources_file, settings.poll_interval)
    for fault in faults:
        yield checks.Error(f"METERING_SOURCES_FILE {settings.sources_file}: {fault}", id="metering.E002")
    polled = {
        meter.name: plugin.namespace == plugins.CENTRAL
        for plugin in found
        if plugin.namespace != plugins.COLLECTOR
        for meter in plugin.meters
    }
    for meter in sorted(polled):
        names = [source.name for source in known if source.matches(meter)]
        if len(names) > 1:
            where = _where_discovery_reaches(known, meter) if polled[meter] else ""
            said = f"{meter} is matched by {' and '.join(names)}; {names[0]} reads it{where}"
            yield checks.Info(said, id="metering.I001")
    for source in known:
        yield from _of_source(source, polled)
    unread = [meter for meter in sorted(polled) if not any(source.matches(meter) for source in known)]
    if known and unread:
        yield checks.Info(f"no source reads {', '.join(unread)}", id="metering.I002")


def _where_discovery_reaches(known: Sequence[Source], meter: str) -> str:
    first = next(source for source in known if source.matches(meter))
    return " where its discovery reaches" if first.discovery else ""


def _of_source(source: Source, polled: dict[str, bool]) -> Iterator[checks.CheckMessage]:
    """What a source asks for in vain: a slip of the pen reads nothing, and says nothing."""
    for pattern in source.meters:
        alone = Source(source.name, source.interval, (pattern.removeprefix("!"),))
        if not any(alone.matches(meter) for meter in polled) and pattern != "*":
            said = f"source {source.name!r}: {pattern!r} fits no meter of a pollster that is installed here"
            yield checks.Warning(said, id="metering.W003")
    if not any(source.wants_somewhere(meter) if central else source.wants(meter) for meter, central in polled.items()):
        yield checks.Warning(f"source {source.name!r} reads no meter that earlier ones leave", id="metering.W004")
