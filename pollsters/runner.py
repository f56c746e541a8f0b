"""The protocols of pollsters, and the only loops that run them: all error policy is here.

One failure never costs the rest. What fails is logged in one line for each pollster and counted under its
name, so that the poll's receipt tells it.
"""

from __future__ import annotations

import json
import logging
import socket
import time
import zlib
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from metering.counters import Counter, Meter
from metering.errors import HypervisorAway, InstanceGone, PollError
from pollsters.compute.hypervisor import EVERYTHING, Host, Hypervisor, Instance, Statistic

log = logging.getLogger(__name__)

HYPERVISOR = "hypervisor"  # the error count of a host that could not be read at all

Wants = Callable[[str], bool]  # whether a meter, by its name, is asked for
P = TypeVar("P")


class ComputePollster(Protocol):
    """Reads some meters of one guest.

    It may have ``needs: frozenset[Statistic]``, all that it asks the hypervisor for; without, everything is read.
    With ``of_stopped = True`` it is also asked about guests that are off, of which there are only the state, the
    size and the space of the disks (METERING_REPORT_STOPPED).
    """

    @property
    def meters(self) -> tuple[Meter, ...]: ...

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterable[Counter]: ...


@dataclass(frozen=True, slots=True)
class Node:
    """The host itself, for those who read it."""

    name: str  # METERING_NODE
    seconds: float  # that the reading may take


class NodePollster(Protocol):
    """Reads some meters of the host itself, once in each poll, beside the reading of its guests."""

    @property
    def meters(self) -> tuple[Meter, ...]: ...

    def poll_node(self, node: Node) -> Iterable[Counter]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a central pollster asks: the unit in which central work is shared out, and fails."""

    service: str  # a service's type in the catalogue, such as block-storage
    region: str | None = None
    project: str | None = None  # only for services that are asked per project
    cloud: str | None = None  # the cloud's name here: regions of two clouds may have one name

    @property
    def parts(self) -> tuple[str | None, ...]:
        """What identifies it, in a poll's origin and in the sharing of the work."""
        return self.service, self.region, self.project, self.cloud

    def __str__(self) -> str:
        of = f" of {self.cloud}" if self.cloud else ""
        project = f", project {self.project}" if self.project else ""
        return f"{self.service} in {self.region or 'no region'}{of}{project}"


WantsAt = Callable[[str, Place], bool]  # whether a meter is asked for at a place


class CentralPollster(Protocol):
    """Reads some meters of an OpenStack service.

    It may have ``begin(until)``, called before each poll: later than that (`time.monotonic`) it must not ask.
    """

    @property
    def meters(self) -> tuple[Meter, ...]: ...

    def places(self) -> Iterable[Place]:
        """Everywhere it would have to ask; each worker asks for its share only."""

    def poll(self, place: Place) -> Iterable[Counter]: ...


@dataclass(slots=True)
class Poll:
    """What one poll gave."""

    read_at: datetime
    counters: list[Counter] = field(default_factory=list)
    guests: int | None = None
    errors: Tally[str] = field(default_factory=Tally)


def poll_compute(
    host: Host,
    pollsters: Mapping[str, ComputePollster | NodePollster],
    wants: Wants,
    seconds: float,
    origin: str,
    now: datetime,
    *,
    node: str | None = None,
) -> Poll:
    """Read the host once, in about ``seconds`` at most, and ask every pollster about every guest, or about the host.

    ``node`` is the host's name (METERING_NODE), by default the one it gives itself. Counters that have none get the
    moment of the reading as their timestamp, and ``origin``. A hypervisor that cannot be read gives no samples of
    guests, at ``now``; one of which nothing is asked is left alone.
    """
    asked = _asked(pollsters, wants)
    of_node: dict[str, Any] = {name: pollster for name, pollster in asked.items() if hasattr(pollster, "poll_node")}
    of_guests: dict[str, Any] = {name: pollster for name, pollster in asked.items() if name not in of_node}
    # Beside each other: a management controller takes seconds to answer, and neither is to wait for the other.
    with ThreadPoolExecutor(1, "node") as aside:
        about = Node(node or socket.gethostname(), seconds)
        beside = aside.submit(_ask_node, of_node, about) if of_node else None
        poll = _poll_guests(host, of_guests, wants, seconds, now) if of_guests or not of_node else Poll(now)
        if beside is not None:
            counters, errors = beside.result()
            poll.counters += [counter for counter in counters if wants(counter.name)]
            poll.errors += errors
    poll.counters = [_stamped(counter, poll.read_at, origin) for counter in poll.counters]
    return poll


def _poll_guests(
    host: Host, pollsters: Mapping[str, ComputePollster], wants: Wants, seconds: float, now: datetime
) -> Poll:
    try:
        reading = host.read(_needs(pollsters.values()), seconds)
    except HypervisorAway as exc:
        log.warning("nothing was read: %s", exc)
        return Poll(now, errors=Tally({HYPERVISOR: 1}))
    instances = reading.instances()
    poll = Poll(reading.read_at, guests=len(instances), errors=Tally(reading.errors))
    told = _ask_all(instances, reading, pollsters, poll.errors)
    poll.counters = [counter for counter in told if wants(counter.name)]
    return poll


def _ask_node(pollsters: Mapping[str, NodePollster], node: Node) -> tuple[list[Counter], Tally[str]]:
    """Every pollster about the node; one failure never costs the rest."""
    counters: list[Counter] = []
    errors: Tally[str] = Tally()
    complaints = _Complaints(errors)
    for name, pollster in pollsters.items():
        try:
            for counter in _counters(pollster.poll_node(node)):
                counters.append(counter)  # noqa: PERF402 # what was yielded before a failure is kept
        except Exception as exc:  # noqa: BLE001 # a plugin is anybody's code: it costs itself only
            complaints.add(name, node.name, exc)
    complaints.log()
    return counters, errors


def _ask_all(
    instances: Sequence[Instance],
    hypervisor: Hypervisor,
    pollsters: Mapping[str, ComputePollster],
    errors: Tally[str],
) -> Iterator[Counter]:
    """Every pollster about every instance; one failure never costs the rest."""
    complaints = _Complaints(errors)
    for instance in instances:
        for name, pollster in pollsters.items():
            if not instance.running and not getattr(pollster, "of_stopped", False):
                continue
            try:
                yield from _counters(pollster.poll(instance, hypervisor))
            except InstanceGone:
                log.debug("%s went away during the poll", instance.id)
                break
            except Exception as exc:  # noqa: BLE001 # a plugin is anybody's code: it costs itself only
                complaints.add(name, instance.id, exc)
    complaints.log()


def poll_central(
    pollsters: Mapping[str, CentralPollster],
    wants: Wants,
    takes: Callable[[Place], bool],
    origin: Callable[[Place], str],
    due: datetime,
    seconds: float,
    wants_at: WantsAt = lambda meter, place: True,
) -> Poll:
    """Ask every pollster at every place that falls to this share of the work, for ``seconds`` at most.

    Counters that have none get ``due`` as timestamp, and the place's origin. A place for which no time was
    left is counted as one that failed. ``wants_at`` says which of the wanted meters are read at a place.
    """
    poll = Poll(due)
    until = time.monotonic() + seconds
    complaints = _Complaints(poll.errors)
    for name, pollster in _asked(pollsters, wants).items():
        for place in _places(name, pollster, until, complaints):
            if not takes(place) or not any(wants_at(meter.name, place) for meter in pollster.meters):
                continue
            try:
                if time.monotonic() >= until:
                    raise PollError("no time was left in this poll")
                for counter in _counters(pollster.poll(place)):
                    if wants(counter.name) and wants_at(counter.name, place):
                        poll.counters.append(_stamped(counter, due, origin(place)))
            except Exception as exc:  # noqa: BLE001 # a plugin is anybody's code: it costs itself only
                complaints.add(name, str(place), exc)
    complaints.log()
    return poll


def _places(name: str, pollster: CentralPollster, until: float, complaints: _Complaints) -> list[Place]:
    try:
        if begin := getattr(pollster, "begin", None):
            begin(until)
        return list(pollster.places())
    except Exception as exc:  # noqa: BLE001 # a plugin is anybody's code: it costs itself only
        complaints.add(name, "its places", exc)
        return []


def share(place: Place, shards: int) -> int:
    """Which share of the work a place falls to: the same in every process, for ever."""
    return zlib.crc32(json.dumps(place.parts).encode()) % shards


def origin_text(*parts: str | int | None) -> str:
    """What a poll's readings come from, as one text: the same for the same poll."""
    return json.dumps(["poll", *parts], separators=(",", ":"))


class _Complaints:
    """What failed, counted by pollster; one line for each at the end, so that a sick host does not flood its log."""

    def __init__(self, errors: Tally[str]) -> None:
        self._errors = errors
        self._first: dict[str, tuple[str, Exception]] = {}
        self._counts: Tally[str] = Tally()

    def add(self, pollster: str, about: str, exc: Exception) -> None:
        self._errors[pollster] += 1
        self._counts[pollster] += 1
        self._first.setdefault(pollster, (about, exc))

    def log(self) -> None:
        for name, (about, exc) in self._first.items():
            # A PollError is foreseen, and says all; of a broken plugin the traceback is kept.
            trace = None if isinstance(exc, PollError) else exc
            log.warning("%s: %d readings failed, first of %s: %s", name, self._counts[name], about, exc, exc_info=trace)


def _asked(pollsters: Mapping[str, P], wants: Wants) -> dict[str, P]:
    """The pollsters of which at least one meter is asked for."""
    return {
        name: pollster
        for name, pollster in pollsters.items()
        if any(wants(meter.name) for meter in getattr(pollster, "meters", ()))
    }


def _needs(pollsters: Iterable[ComputePollster]) -> frozenset[Statistic]:
    return frozenset().union(*(getattr(pollster, "needs", EVERYTHING) for pollster in pollsters))


def _counters(yielded: Iterable[object]) -> Iterator[Counter]:
    for counter in yielded:
        if not isinstance(counter, Counter):
            raise TypeError(f"it yielded {type(counter).__name__}, not a Counter")
        yield counter


def _stamped(counter: Counter, moment: datetime, origin: str) -> Counter:
    # Not by replace, which costs twice as much: this is done for each sample of each poll.
    return Counter(
        counter.name,
        counter.type,
        counter.unit,
        counter.volume,
        counter.user_id,
        counter.project_id,
        counter.resource_id,
        counter.timestamp or moment,
        counter.resource_metadata,
        counter.origin or origin,
    )
