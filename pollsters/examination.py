"""One dry poll, and for each meter whether it came and, where it did not, why: what `manage.py doctor` tells of a host.

Nothing is sent, spooled or remembered. The reasons are the runner's own: what it logs about a pollster that failed.
"""

from __future__ import annotations

import logging
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from metering import plugins
from metering.doctor import meters
from metering.doctor.finding import Finding, good, note, one_line, wrong
from metering.plugins import Plugin
from metering.sources import Source
from pollsters import runner
from pollsters.compute.hypervisor import Host, Hypervisor, Statistic
from pollsters.runner import Poll

READ_SECONDS = 20.0
ASK_SECONDS = 120.0  # of all clouds, with nobody else to share the work

# Where a meter's name begins so, what a guest must have to give it.
_WANTS_OF_THE_GUEST = {
    "disk.root.size": "nova's metadata tells it: no other domain has it",
    "disk.ephemeral.size": "nova's metadata tells it: no other domain has it",
    "instance:": "nova's metadata tells it: no other domain has it",
    "memory.usage": "the guest needs a balloon driver that tells its statistics",
    "memory.available": "the guest needs a balloon driver that tells its statistics",
    "memory.swap": "the guest needs a balloon driver that tells its statistics",
    "memory.bandwidth": "the processor must monitor its memory bus (resctrl), and the guest's definition ask for it",
    "cpu_l3_cache": "the processor must monitor its cache (resctrl), and the guest's definition ask for it",
    "perf.": "the guest's definition must switch the event on (nova: enabled_perf_events)",
    "disk.": "the guest has no disk, or its driver counts nothing",
    "network.": "the guest has no interface with a name on the host",
}
_TROUBLE = {
    "No such file": "is libvirtd running, and METERING_LIBVIRT_URI right?",
    "Connection refused": "is libvirtd running, and METERING_LIBVIRT_URI right?",
    "Permission denied": "this user may not open libvirt's socket: add it to the group libvirt, or run as the worker's",
    "authentication": "libvirt refuses this user (polkit): add it to the group libvirt",
    "did not answer": "libvirtd hangs: look at its log, restart it",
    "does not answer": "libvirtd hangs: look at its log, restart it",
}


@dataclass(slots=True)
class _Remembering:
    """A host that keeps what was read of it."""

    host: Host
    reading: Hypervisor | None = None

    def read(self, needs: frozenset[Statistic], seconds: float) -> Hypervisor:
        self.reading = self.host.read(needs, seconds)
        return self.reading


class _Heard(logging.Handler):
    """What was logged meanwhile, line by line."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        said = one_line(record.getMessage())
        if record.exc_info and record.exc_info[0] is not None:
            said = f"{said} ({record.exc_info[0].__name__})"
        self.lines.append(said)

    def about(self, name: str) -> str | None:
        """What was said of a pollster."""
        return next((line.removeprefix(f"{name}: ") for line in self.lines if line.startswith(f"{name}: ")), None)


@contextmanager
def _listening() -> Iterator[_Heard]:
    heard, log = _Heard(), logging.getLogger("pollsters")
    log.addHandler(heard)
    propagates, log.propagate = log.propagate, False  # it is told in findings, not twice
    try:
        yield heard
    finally:
        log.removeHandler(heard)
        log.propagate = propagates


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one dry poll gave."""

    poll: Poll
    heard: _Heard
    counted: Tally[str] = field(default_factory=Tally)  # samples by meter

    def count(self, meter: str) -> int:
        """The samples of a meter, or of all that a name with a variable part (``instance:<flavor>``) stands for."""
        if "<" not in meter:
            return self.counted[meter]
        start = meter.partition("<")[0]
        return sum(count for name, count in self.counted.items() if name.startswith(start))

    def fault_of(self, plugin: Plugin) -> str | None:
        """Why some or all of its readings failed."""
        if plugin.name not in self.poll.errors:
            return None
        return self.heard.about(plugin.name) or f"{self.poll.errors[plugin.name]} readings failed"


def compute(
    host: Host, uri: str, found: Sequence[Plugin], known: Sequence[Source], node: str, meter: str | None
) -> Iterator[Finding]:
    """Read the host once, as its worker would, and tell what came of each meter."""
    on = _on(found, plugins.COMPUTE)
    watched = _Remembering(host)
    with _listening() as heard:
        now = datetime.now(UTC)
        poll = runner.poll_compute(watched, on, _wanting(meter), READ_SECONDS, "doctor", now, node=node)
    outcome = _Outcome(poll, heard, Tally(counter.name for counter in poll.counters))
    yield from _of_hypervisor(outcome, uri, watched.reading)
    for plugin, name in _claims(found, plugins.COMPUTE, meter):
        yield _of_meter(plugin, name, outcome, known, asked=meter is not None)


def central(found: Sequence[Plugin], known: Sequence[Source], meter: str | None) -> Iterator[Finding]:
    """Ask every service once, as all central workers together would, and tell what came of each meter."""
    on = _on(found, plugins.CENTRAL)
    places: Tally[str] = Tally()

    def takes(place: runner.Place) -> bool:
        places[str(place)] += 1
        return True

    with _listening() as heard:
        now = datetime.now(UTC)
        poll = runner.poll_central(on, _wanting(meter), takes, lambda place: "doctor", now, ASK_SECONDS)
    outcome = _Outcome(poll, heard, Tally(counter.name for counter in poll.counters))
    if places:
        yield good("clouds", f"asked: {'; '.join(sorted(places))}")
    else:
        yield wrong("clouds", "there is no place to ask", "see the options of the plugins: manage.py plugins")
    for plugin, name in _claims(found, plugins.CENTRAL, meter):
        yield _of_meter(plugin, name, outcome, known, asked=meter is not None)


def _on(found: Sequence[Plugin], namespace: str) -> dict[str, Any]:
    return {plugin.name: plugin.target for plugin in found if plugin.namespace == namespace and plugin.target}


def _wanting(meter: str | None) -> runner.Wants:
    return lambda name: meter is None or name == meter


def _claims(found: Sequence[Plugin], namespace: str, meter: str | None) -> Iterator[tuple[Plugin, str]]:
    """Every meter of the namespace, or the one that was asked for, with the plugin that makes it."""
    for plugin in found:
        if plugin.namespace == namespace:
            for claimed in plugin.meters:
                if meter is None or claimed.name == meter:
                    yield plugin, claimed.name


def _of_hypervisor(outcome: _Outcome, uri: str, reading: Hypervisor | None) -> Iterator[Finding]:
    errors = outcome.poll.errors
    if errors.get(runner.HYPERVISOR):
        said = outcome.heard.about("nothing was read") or "; ".join(outcome.heard.lines)
        remedy = next((remedy for trouble, remedy in _TROUBLE.items() if trouble in said), "look at libvirtd's log")
        yield wrong("hypervisor", said or f"{uri} could not be read", remedy)
        return
    if reading is None:
        return  # only the host itself was asked
    guests = outcome.poll.guests or 0
    left_out = len(getattr(reading, "guests", ())) - guests
    said = f"{uri} answers; guests that are metered: {guests}"
    yield good("hypervisor", said) if guests else note("hypervisor", said, "no guest, no sample of one")
    if left_out > 0:
        yield note("hypervisor", f"{left_out} domains that nova did not make are left out", "METERING_UNOWNED is skip")
    for trouble in ("hung guests", "unreadable guests", "guests not asked"):
        if errors.get(trouble):
            lines = "; ".join(line for line in outcome.heard.lines if "guest" in line)
            yield wrong("hypervisor", f"{errors[trouble]} {trouble}: {one_line(lines)}", "look at their QEMU processes")


def _of_meter(plugin: Plugin, name: str, outcome: _Outcome, known: Sequence[Source], *, asked: bool) -> Finding:
    """Whether the meter came; a reason why it need not is no fault, unless it was asked for by name."""
    label, count = f"meter {name}", outcome.count(name)
    bad = wrong if asked else note
    if plugin.target is None:
        return bad(label, f"no: its plugin {plugin.name} is {plugin.state}: {plugin.reason}", "see manage.py plugins")
    if outcome.poll.errors.get(runner.HYPERVISOR) and not hasattr(plugin.target, "poll_node"):
        return bad(label, "no: the hypervisor could not be read")
    fault = outcome.fault_of(plugin)
    if not count and fault:
        return wrong(label, f"no: {fault}", f"that is what its plugin {plugin.name} met")
    if meters.asking(name, known, plugin.namespace) is None:
        came = "it could be read, but" if count else "no:"
        return bad(label, f"{came} no source asks for it", "name it in METERING_SOURCES_FILE, on every process")
    if count:
        came = f"yes, {count} sample{'s' if count > 1 else ''}"
        return note(label, f"{came}, but {fault}") if fault else good(label, came)
    return bad(label, f"no: {_nothing(plugin, outcome.poll)}", _hint(name))


def _nothing(plugin: Plugin, poll: Poll) -> str:
    """A plugin worked, and there was nothing to read."""
    if plugin.namespace == plugins.CENTRAL:
        return "the services asked have nothing of it"
    if hasattr(plugin.target, "poll_node"):
        return "this machine offers none"
    return f"the hypervisor offers it for none of its guests ({poll.guests})" if poll.guests else "no guest runs here"


def _hint(meter: str) -> str:
    return next((hint for start, hint in _WANTS_OF_THE_GUEST.items() if meter.startswith(start)), "")
