"""The host against a connection that hangs, breaks and lies as libvirt's does, in a fraction of the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from metering.errors import HypervisorAway, InstanceGone, PollError
from pollsters.compute import survey
from pollsters.compute.connection import Handle
from pollsters.compute.host import ComputeHost
from pollsters.compute.hypervisor import Statistic
from pollsters.compute.libvirt_records import Record
from pollsters.compute.libvirt_xml import Domain
from pollsters.compute.reading import SKIP, Reading

NEEDS = frozenset({Statistic.CPU, Statistic.NICS})
XML = (
    "<domain><name>{name}</name><uuid>{name}</uuid><metadata>{metadata}</metadata><devices>{devices}</devices></domain>"
)
OWNED = """<n:instance xmlns:n="http://openstack.org/xmlns/libvirt/nova/1.1"><n:owner><n:project uuid="p-1"/></n:owner>
</n:instance>"""
DISK = "<disk><source file='/1'/><target dev='{name}'/></disk>"
FIGURES = {"state.state": 1, "cpu.time": 5, "vcpu.current": 1, "net.count": 0}


@dataclass
class FakeDaemon:
    """Guests by name; what hangs, hangs until it is let go."""

    guests: dict[str, str] = field(default_factory=dict)  # name -> XML
    figures: dict[str, Mapping[str, object]] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    blocked: dict[str, float] = field(default_factory=dict)  # guest -> since when its monitor is asked
    go_on: threading.Event = field(default_factory=threading.Event)
    down: bool = False
    opened: int = 0
    definitions_read: list[str] = field(default_factory=list)

    def add(self, name: str, metadata: str = OWNED, devices: str = "") -> None:
        self.guests[name] = XML.format(name=name, metadata=metadata, devices=devices)

    def connect(self) -> FakeConnection:
        if self.down:
            raise HypervisorAway("no daemon")
        self.opened += 1
        return FakeConnection(self)


class FakeConnection:
    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon
        self.broken = False

    def alive(self) -> bool:
        return not self.broken

    def close(self) -> None:
        self.broken = True

    def running(self) -> Sequence[Handle]:
        if self._daemon.down:
            self.broken = True
            raise HypervisorAway("broken pipe")
        return [Handle(name, 1) for name in self._daemon.guests]

    def busy(self, handle: Handle) -> float:
        since = self._daemon.blocked.get(handle.id)
        return 0.0 if since is None else time.monotonic() - since + survey.HUNG_SECONDS / 2

    def definition(self, handle: Handle) -> str:
        self._daemon.definitions_read.append(handle.id)
        if handle.id not in self._daemon.guests:
            raise InstanceGone("no domain")
        return self._daemon.guests[handle.id]

    def figures(
        self, handles: Sequence[Handle], needs: frozenset[Statistic], domains: Mapping[str, Domain]
    ) -> dict[str, Record]:
        if self._daemon.down:
            raise HypervisorAway("broken pipe")
        for handle in handles:
            if handle.id in self._daemon.frozen:
                self._daemon.blocked.setdefault(handle.id, time.monotonic())
                self._daemon.go_on.wait(20)
        return self._known(handles, FIGURES)

    def prompt_figures(self, handles: Sequence[Handle], needs: frozenset[Statistic]) -> dict[str, Record]:
        return self._known(handles, {"state.state": 1, "vcpu.current": 1, "net.count": 0})

    def _known(self, handles: Sequence[Handle], figures: Mapping[str, object]) -> dict[str, Record]:
        present = [handle.id for handle in handles if handle.id in self._daemon.guests]
        return {name: Record(dict(self._daemon.figures.get(name, figures))) for name in present}


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    daemon = FakeDaemon()
    yield daemon
    daemon.go_on.set()


def names(reading: Reading) -> set[str]:
    return {instance.name for instance in reading.instances()}


def test_every_running_guest_is_read(daemon: FakeDaemon) -> None:
    for number in range(10):
        daemon.add(f"guest-{number}")

    reading = ComputeHost(daemon.connect, "node-1").read(NEEDS, 5)

    assert names(reading) == set(daemon.guests)
    assert {reading.cpu(instance).time for instance in reading.instances()} == {5}
    assert reading.errors == {}


def test_a_host_without_guests_is_read_too(daemon: FakeDaemon) -> None:
    assert ComputeHost(daemon.connect, "node-1").read(NEEDS, 5).instances() == []


def test_guests_that_hang_cost_only_what_their_monitors_tell_and_are_reported_in_time(daemon: FakeDaemon) -> None:
    for number in range(12):
        daemon.add(f"guest-{number}")
    daemon.frozen = {"guest-0", "guest-4", "guest-5"}  # two of them in one call: they are found one after the other

    start = time.monotonic()
    reading = ComputeHost(daemon.connect, "node-1").read(NEEDS, 8)

    assert time.monotonic() - start < 5
    assert reading.errors == {"hung guests": 3}
    assert names(reading) == set(daemon.guests)
    for instance in reading.instances():
        assert reading.power_state(instance) == 1
        assert list(reading.nics(instance)) == []
        if instance.name in daemon.frozen:
            with pytest.raises(PollError, match="its monitor has not answered"):
                reading.cpu(instance)
        else:
            assert reading.cpu(instance).time == 5


def test_a_guest_that_is_known_to_hang_is_not_waited_for_again(daemon: FakeDaemon) -> None:
    daemon.add("well")
    daemon.add("frozen")
    daemon.frozen = {"frozen"}
    host = ComputeHost(daemon.connect, "node-1")
    host.read(NEEDS, 5)

    start = time.monotonic()
    reading = host.read(NEEDS, 5)

    assert time.monotonic() - start < 0.5
    assert reading.errors == {"hung guests": 1}


def test_where_no_monitor_is_asked_a_hung_guest_is_no_trouble(daemon: FakeDaemon) -> None:
    daemon.add("frozen")
    daemon.blocked["frozen"] = time.monotonic() - 100

    reading = ComputeHost(daemon.connect, "node-1").read(frozenset({Statistic.NICS}), 5)

    assert reading.errors == {}
    assert names(reading) == {"frozen"}


def test_a_guest_that_vanishes_during_the_reading_costs_only_itself(daemon: FakeDaemon) -> None:
    daemon.add("stays")
    daemon.add("goes")
    daemon.add("shuts down")
    daemon.figures["shuts down"] = {"state.state": 5}

    class Racing(FakeConnection):
        def running(self) -> Sequence[Handle]:
            listed = super().running()
            del daemon.guests["goes"]
            return listed

    reading = ComputeHost(lambda: Racing(daemon), "node-1").read(NEEDS, 5)

    assert names(reading) == {"stays"}
    assert reading.errors == {}


def test_a_definition_that_cannot_be_read_costs_only_its_guest(daemon: FakeDaemon) -> None:
    daemon.add("well")
    daemon.guests["garbled"] = "<domain"

    reading = ComputeHost(daemon.connect, "node-1").read(NEEDS, 5)

    assert names(reading) == {"well"}
    assert reading.errors == {"unreadable guests": 1}


def test_a_daemon_that_died_costs_one_reading_and_the_next_has_a_new_connection(daemon: FakeDaemon) -> None:
    daemon.add("guest")
    host = ComputeHost(daemon.connect, "node-1")
    host.read(NEEDS, 5)
    daemon.down = True

    with pytest.raises(HypervisorAway):
        host.read(NEEDS, 5)
    with pytest.raises(HypervisorAway, match="no daemon"):
        host.read(NEEDS, 5)
    daemon.down = False

    assert names(host.read(NEEDS, 5)) == {"guest"}
    assert daemon.opened == 2


def test_a_connection_that_is_known_to_be_dead_costs_no_reading(daemon: FakeDaemon) -> None:
    daemon.add("guest")
    connections: list[FakeConnection] = []

    def connect() -> FakeConnection:
        connections.append(daemon.connect())
        return connections[-1]

    host = ComputeHost(connect, "node-1")
    host.read(NEEDS, 5)
    connections[0].broken = True

    assert names(host.read(NEEDS, 5)) == {"guest"}
    assert len(connections) == 2


def test_a_daemon_that_does_not_answer_is_waited_for_by_one_thread_only(daemon: FakeDaemon) -> None:
    opening = 0

    def connect() -> FakeConnection:
        nonlocal opening
        opening += 1
        daemon.go_on.wait(20)
        return daemon.connect()

    daemon.add("guest")
    host = ComputeHost(connect, "node-1")
    for _ in range(3):
        with pytest.raises(HypervisorAway, match="does not answer"):
            host.read(NEEDS, 0.1)
    daemon.go_on.set()

    assert names(host.read(NEEDS, 5)) == {"guest"}
    assert opening == 1


def test_definitions_are_read_once_until_a_new_device_shows_a_change(daemon: FakeDaemon) -> None:
    daemon.add("guest", devices=DISK.format(name="vda"))
    host = ComputeHost(daemon.connect, "node-1")
    host.read(NEEDS, 5)
    host.read(NEEDS, 5)
    assert daemon.definitions_read == ["guest"]

    daemon.add("guest", devices=DISK.format(name="vda") + DISK.format(name="vdb"))
    daemon.figures["guest"] = FIGURES | {"block.count": 1, "block.0.name": "vdb", "block.0.capacity": 9}
    reading = host.read(NEEDS, 5)

    [instance] = reading.instances()
    assert [disk.device for disk in reading.disks(instance)] == ["vdb"]
    assert daemon.definitions_read == ["guest", "guest"]


@pytest.mark.parametrize(
    ("unowned", "projects"),
    [
        (None, {"foreign": None, "nova's": "p-1"}),
        (SKIP, {"nova's": "p-1"}),
        ("p-9", {"foreign": "p-9", "nova's": "p-1"}),
    ],
)
def test_domains_that_nova_did_not_make_go_to_nobody_or_are_skipped_or_go_to_a_project(
    unowned: str | None, projects: dict[str, str | None], daemon: FakeDaemon
) -> None:
    daemon.add("foreign", metadata="")
    daemon.add("nova's")

    reading = ComputeHost(daemon.connect, "node-1", unowned).read(NEEDS, 5)

    assert {instance.name: instance.project_id for instance in reading.instances()} == projects


def test_the_state_is_told_in_novas_words(daemon: FakeDaemon) -> None:
    daemon.add("guest")
    daemon.figures["guest"] = FIGURES | {"state.state": 3}

    [instance] = ComputeHost(daemon.connect, "node-1").read(NEEDS, 5).instances()

    assert (instance.metadata["state"], instance.metadata["status"]) == ("paused", "paused")
