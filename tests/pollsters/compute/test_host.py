"""The host against a connection that hangs, breaks and lies as libvirt's does, in a fraction of the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metering.errors import HypervisorAway, InstanceGone, PollError
from pollsters import runner
from pollsters.compute import survey
from pollsters.compute.connection import Handle
from pollsters.compute.details import Detail, Nothing
from pollsters.compute.growth import Growths
from pollsters.compute.host import ComputeHost
from pollsters.compute.hypervisor import Statistic
from pollsters.compute.libvirt_records import Record
from pollsters.compute.libvirt_xml import Domain
from pollsters.compute.reading import SKIP, Policy, Reading
from tests.pollsters.compute.every import POLLSTERS

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
    off: dict[str, str] = field(default_factory=dict)  # name -> XML
    events: set[str] = field(default_factory=set)

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
        self._listens = False

    def alive(self) -> bool:
        return not self.broken

    def close(self) -> None:
        self.broken = True

    def running(self) -> Sequence[Handle]:
        if self._daemon.down:
            self.broken = True
            raise HypervisorAway("broken pipe")
        return [Handle(name, 1) for name in self._daemon.guests]

    def stopped(self) -> Sequence[Handle]:
        return [Handle(name, -1) for name in self._daemon.off]

    def listen(self) -> None:
        self._listens = True

    def changed(self) -> set[str]:
        assert self._listens
        told, self._daemon.events = self._daemon.events, set()
        return told

    def busy(self, handle: Handle) -> float:
        since = self._daemon.blocked.get(handle.id)
        return 0.0 if since is None else time.monotonic() - since + survey.HUNG_SECONDS / 2

    def definition(self, handle: Handle) -> str:
        self._daemon.definitions_read.append(handle.id)
        known = self._daemon.guests | self._daemon.off
        if handle.id not in known:
            raise InstanceGone("no domain")
        return known[handle.id]

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

    def stopped_figures(self, handle: Handle, needs: frozenset[Statistic], domain: Domain) -> Record | None:
        if handle.id in self._daemon.frozen:
            self._daemon.go_on.wait(20)
        if handle.id not in self._daemon.off:
            return None
        return Record({"state.state": 5, "vcpu.current": 2, "block.count": 0})

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


def test_a_guest_that_hangs_blocks_no_other_call_on_its_connection(daemon: FakeDaemon) -> None:
    """Libvirt's client loses the wake-ups of other threads on a connection that one call blocks."""
    for number in range(12):
        daemon.add(f"guest-{number}")
    daemon.frozen = {"guest-4"}
    users: dict[int, set[int]] = {}

    class Watched(FakeConnection):
        def figures(
            self, handles: Sequence[Handle], needs: frozenset[Statistic], domains: Mapping[str, Domain]
        ) -> dict[str, Record]:
            inside = users.setdefault(id(self), set())
            assert not inside
            inside.add(threading.get_ident())
            found = super().figures(handles, needs, domains)
            inside.clear()
            return found

    kept: list[Watched] = []

    def connect() -> Watched:
        kept.append(Watched(daemon))
        return kept[-1]

    reading = ComputeHost(connect, "node-1").read(NEEDS, 8)

    assert reading.errors == {"hung guests": 1}
    assert any(users.values())  # one is blocked still, and was used by nobody else


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
            daemon.guests.pop("goes", None)
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
    assert daemon.opened == 2 + 1  # one to look around and one to ask the guest; the first of them again


def test_a_connection_that_is_known_to_be_dead_costs_no_reading(daemon: FakeDaemon) -> None:
    daemon.add("guest")
    connections: list[FakeConnection] = []

    def connect() -> FakeConnection:
        connections.append(daemon.connect())
        return connections[-1]

    host = ComputeHost(connect, "node-1")
    host.read(NEEDS, 5)
    for connection in connections:
        connection.broken = True

    assert names(host.read(NEEDS, 5)) == {"guest"}
    assert len(connections) == 4


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

    assert opening == 1
    assert names(host.read(NEEDS, 5)) == {"guest"}


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

    reading = ComputeHost(daemon.connect, "node-1", Policy(unowned=unowned)).read(NEEDS, 5)

    assert {instance.name: instance.project_id for instance in reading.instances()} == projects


def test_the_state_is_told_in_novas_words(daemon: FakeDaemon) -> None:
    daemon.add("guest")
    daemon.figures["guest"] = FIGURES | {"state.state": 3}

    [instance] = ComputeHost(daemon.connect, "node-1").read(NEEDS, 5).instances()

    assert (instance.metadata["state"], instance.metadata["status"]) == ("paused", "paused")


def test_a_definition_is_read_again_when_libvirt_tells_of_a_change(daemon: FakeDaemon) -> None:
    daemon.add("changes")
    daemon.add("stays")
    host = ComputeHost(daemon.connect, "node-1")
    host.read(NEEDS, 5)
    daemon.add("changes", metadata="")
    daemon.events = {"changes"}

    reading = host.read(NEEDS, 5)

    assert {instance.name: instance.project_id for instance in reading.instances()} == {"changes": None, "stays": "p-1"}
    assert sorted(daemon.definitions_read) == ["changes", "changes", "stays"]


def test_a_new_connection_knows_of_no_changes_so_all_definitions_are_read_again(daemon: FakeDaemon) -> None:
    connections: list[FakeConnection] = []

    def connect() -> FakeConnection:
        connections.append(daemon.connect())
        return connections[-1]

    daemon.add("guest")
    host = ComputeHost(connect, "node-1")
    host.read(NEEDS, 5)
    connections[0].broken = True
    daemon.add("guest", metadata="")

    [instance] = host.read(NEEDS, 5).instances()

    assert instance.project_id is None


def test_guests_that_are_off_are_read_when_that_is_wanted(daemon: FakeDaemon) -> None:
    daemon.add("runs")
    daemon.off["off"] = XML.format(name="off", metadata=OWNED, devices="")
    daemon.off["garbled"] = "<domain"

    assert names(ComputeHost(daemon.connect, "node-1").read(NEEDS, 5)) == {"runs"}
    reading = ComputeHost(daemon.connect, "node-1", Policy(report_stopped=True)).read(NEEDS, 5)

    assert {instance.name: instance.running for instance in reading.instances()} == {"runs": True, "off": False}
    assert reading.errors == {"unreadable guests": 1}
    [off] = [instance for instance in reading.instances() if not instance.running]
    assert (off.metadata["status"], reading.power_state(off), reading.vcpus(off)) == ("stopped", 5, 2)


def test_disks_of_a_guest_that_is_off_which_do_not_answer_cost_nobody_else_and_are_asked_once(
    daemon: FakeDaemon,
) -> None:
    daemon.add("runs")
    daemon.off["blocked"] = XML.format(name="blocked", metadata=OWNED, devices="")
    daemon.frozen = {"blocked"}
    host = ComputeHost(daemon.connect, "node-1", Policy(report_stopped=True))
    threads = threading.active_count()

    for _ in range(3):
        start = time.monotonic()
        reading = host.read(NEEDS, 0.5)
        assert time.monotonic() - start < 1
        assert names(reading) == {"runs"}
        assert reading.errors == {"unreadable guests": 1}

    assert threading.active_count() <= threads + 1


def test_what_nova_told_goes_into_the_metadata_and_users_own_keys_are_sifted(daemon: FakeDaemon) -> None:
    daemon.add("guest")
    told = Detail(
        {"display_name": "web", "OS-EXT-AZ:availability_zone": "az-1"}, {"metering.stack": "s-1", "mine": "x"}
    )

    class Knowing(Nothing):
        def known(self, seconds: float) -> Mapping[str, Detail]:
            return {"guest": told}

    [instance] = ComputeHost(daemon.connect, "node-1", details=Knowing()).read(NEEDS, 5).instances()

    assert instance.metadata["display_name"] == "web"
    assert instance.metadata["OS-EXT-AZ:availability_zone"] == "az-1"
    assert instance.metadata["user_metadata"] == {"stack": "s-1"}
    assert instance.metadata["name"] == "guest"


def test_growth_is_counted_for_each_guest_in_its_run(daemon: FakeDaemon, tmp_path: Path) -> None:
    daemon.add("guest")
    growths = Growths(tmp_path, kept=lambda key: True)
    host = ComputeHost(daemon.connect, "node-1", growths=growths)

    def grown(slot: int, count: int) -> int:
        with growths.poll(("default", slot, 0), time.time()):
            reading = host.read(NEEDS, 5)
            [instance] = reading.instances()
            return reading.growth(instance, "bytes", count)

    assert [grown(1, 100), grown(2, 130), grown(3, 20)] == [0, 30, 20]


def test_a_hypervisor_that_offers_nothing_but_the_state_costs_no_other_meter(daemon: FakeDaemon) -> None:
    daemon.add("guest", devices=DISK.format(name="vda"))
    daemon.figures["guest"] = {"state.state": 1}

    done = runner.poll_compute(
        ComputeHost(daemon.connect, "node-1"), POLLSTERS, lambda meter: True, 5, "o", datetime.now(UTC)
    )

    assert {counter.name for counter in done.counters} == {"power.state", "instance"}
    assert done.errors == {"cpu": 1, "vcpus": 1, "disk": 1, "disk-totals": 1}
