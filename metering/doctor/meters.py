"""Who would read a meter, by what is installed and by the sources: the same question on a host and off it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from metering import plugins
from metering.doctor.finding import Finding, good, note, wrong
from metering.environment import Environment
from metering.plugins import CENTRAL, COLLECTOR, COMPUTE, Plugin
from metering.sources import Source

READER = {COMPUTE: "compute workers", CENTRAL: "central workers", COLLECTOR: "the consumer, from notifications"}


def of_sources(settings: Environment, known: Sequence[Source], faults: Iterable[str]) -> Iterator[Finding]:
    """Whether the sources file can be used."""
    for fault in faults:
        yield wrong("sources", f"{settings.sources_file}: {fault}", "no process starts with this file; mend it")
    if known:
        named = ", ".join(f"{source.name} each {source.interval} s" for source in known)
        yield good("sources", f"{settings.sources_file or 'no file'}: {named}")


def of_plugins(found: Sequence[Plugin], namespace: str) -> Iterator[Finding]:
    """What of this namespace is installed and does not work, and why."""
    here = [plugin for plugin in found if plugin.namespace == namespace]
    for plugin in here:
        label = f"plugin {plugin.name}"
        if plugin.broken:
            remedy = f"mend or remove the package {plugin.package}, or name it in METERING_DISABLED_PLUGINS"
            yield wrong(label, f"it does not work: {plugin.reason}", remedy)
        elif plugin.target is None:
            yield note(label, f"it is off: {plugin.reason}")
    for conflict in plugins.conflicts(here):
        yield wrong("plugins", conflict, "until then no worker starts")
    on = [plugin.name for plugin in here if plugin.target is not None]
    if on:
        yield good("plugins", f"{len(on)} on in {namespace}: {', '.join(on)}")
    else:
        yield wrong("plugins", f"none is on in {namespace}", "see manage.py plugins")


def of_meter(meter: str, found: Sequence[Plugin], known: Sequence[Source], namespace: str) -> Iterator[Finding]:
    """Whether anybody in this namespace would read the meter, and which source asks for it."""
    label = f"meter {meter}"
    claiming = [plugin for plugin in found if any(claimed.name == meter for claimed in plugin.meters)]
    if not claiming:
        yield wrong(label, "no installed plugin makes it", _close(meter, found))
        return
    here = [plugin for plugin in claiming if plugin.namespace == namespace]
    if not here:
        readers = " and by ".join(READER[plugin.namespace] for plugin in claiming)
        yield wrong(label, f"{READER[namespace]} do not make it: it is made by {readers}", "look there")
        return
    yield from (_of_claim(label, plugin) for plugin in here)
    if namespace != COLLECTOR:
        yield _of_asking(label, meter, known, namespace)


def asking(meter: str, known: Sequence[Source], namespace: str) -> Source | None:
    """The source that has the meter read."""
    for source in known:
        if source.wants_somewhere(meter) if namespace == CENTRAL else source.wants(meter):
            return source
    return None


def _of_claim(label: str, plugin: Plugin) -> Finding:
    if plugin.target is not None:
        return good(label, f"it is made by the plugin {plugin.name} of {plugin.package} {plugin.version}")
    return wrong(label, f"its plugin {plugin.name} is {plugin.state}: {plugin.reason}", "see manage.py plugins")


def _of_asking(label: str, meter: str, known: Sequence[Source], namespace: str) -> Finding:
    source = asking(meter, known, namespace)
    if source is None:
        return wrong(label, "no source asks for it", "name it in METERING_SOURCES_FILE, the same on every process")
    return good(label, f"the source {source.name} asks for it each {source.interval} s")


def _close(meter: str, found: Sequence[Plugin]) -> str:
    known = sorted({claimed.name for plugin in found for claimed in plugin.meters})
    close = difflib.get_close_matches(meter, known, n=3)
    return f"did you mean {' or '.join(close)}?" if close else "see manage.py plugins for what is installed"
