"""Against a real libvirtd with real guests: what it tells, what hangs, what dies."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metering.counters import Counter
from metering.errors import HypervisorAway, PollError
from pollsters import runner
from pollsters.compute import libvirt_host
from pollsters.compute.disk import DiskPollster
from pollsters.compute.disk_totals import DiskTotalsPollster
from pollsters.compute.host import ComputeHost
from pollsters.compute.hypervisor import EVERYTHING, Instance
from pollsters.compute.reading import Policy, Reading
from tests.libvirt_guests import MEMORY_MIB, PROJECT, USER, Guest
from tests.libvirt_lab import LibvirtLab
from tests.pollsters.compute import virsh
from tests.pollsters.compute.every import POLLSTERS
from tests.stage import Stage

WEB = Guest("poll-web", disks=2, nics=2)
MAIL = Guest("poll-mail")
FOREIGN = Guest("poll-foreign", nova=False, nics=0)
OFF = Guest("poll-off", disks=2)
MORE = tuple(Guest(f"poll-more-{number}", idle=True) for number in range(17))
RUNNING = (WEB, MAIL, FOREIGN, *MORE)
NAMES = {guest.name for guest in RUNNING}
COUNTS_OF_DISKS = (*DiskPollster.meters, *DiskTotalsPollster.meters)


@pytest.fixture(scope="module")
def lab(stage: Stage) -> Iterator[LibvirtLab]:
    """The lab with twenty running guests and one that is off."""
    lab = stage.libvirt_lab
    lab.wait_ready()
    for guest in (*RUNNING, OFF):
        lab.define(guest)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lab.start, RUNNING))
    yield lab
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lab.remove, (*RUNNING, OFF)))


@pytest.fixture
def connect(lab: LibvirtLab) -> Iterator[Callable[[], libvirt_host.Connection]]:
    """Opens connections for a host. They are closed after the test: others count who is connected."""
    opened: list[libvirt_host.Connection] = []

    def connect() -> libvirt_host.Connection:
        opened.append(libvirt_host.Connection(lab.read_only_uri))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def host(connect: Callable[[], libvirt_host.Connection]) -> ComputeHost:
    return ComputeHost(connect, "node-1")


def ours(reading: Reading) -> dict[str, Instance]:
    """Our guests by name: another test's may run on the same daemon."""
    return {instance.name: instance for instance in reading.instances() if instance.name.startswith("poll-")}


def samples(host: ComputeHost) -> dict[tuple[str, str], Counter]:
    """What every pollster tells of our guests, by meter and resource."""
    done = runner.poll_compute(host, POLLSTERS, lambda meter: True, 20, "o", datetime.now(UTC))
    assert done.errors == {}
    ours = {guest.uuid for guest in RUNNING}
    return {(c.name, c.resource_id): c for c in done.counters if c.resource_metadata["instance_id"] in ours}


def test_of_20_guests_every_sample_equals_what_virsh_says(lab: LibvirtLab, host: ComputeHost) -> None:
    samples(host)
    before = virsh.told(lab, RUNNING)
    ours = samples(host)
    after = virsh.told(lab, RUNNING)

    assert len(RUNNING) == 20
    assert ours.keys() == before.keys() == after.keys()
    for key, counter in ours.items():
        # Counts move on between two questions: ours lies between virsh's, and where those agree is equal to both.
        low, high = sorted((before[key], after[key]))
        if counter.name == "memory.resident":  # goes up and down as QEMU needs it
            low, high = low * 0.75, high * 1.25
        assert low <= counter.volume <= high, key
    moving = {name for name, resource in ours if before[name, resource] != after[name, resource]}
    assert moving <= {"cpu", "memory.resident", *(meter.name for meter in COUNTS_OF_DISKS)}


def test_interfaces_are_described_as_virsh_lists_them(lab: LibvirtLab, host: ComputeHost) -> None:
    told = [counter for (meter, _), counter in samples(host).items() if meter == "network.incoming.bytes"]

    for guest in (WEB, MAIL, FOREIGN):
        about = [c.resource_metadata for c in told if c.resource_metadata["instance_id"] == guest.uuid]
        assert {(nic["name"], nic["bridge"], nic["mac"]) for nic in about} == virsh.domiflist(lab, guest)


def test_guests_are_whose_nova_says_and_those_that_are_off_are_not_read(host: ComputeHost) -> None:
    instances = ours(host.read(EVERYTHING, 10))

    assert set(instances) == NAMES
    assert (instances[WEB.name].id, instances[WEB.name].project_id, instances[WEB.name].user_id) == (
        WEB.uuid,
        PROJECT,
        USER,
    )
    assert instances[FOREIGN.name].project_id is None
    assert instances[WEB.name].metadata["memory_mb"] == MEMORY_MIB


def test_a_frozen_guest_costs_only_its_own_monitors_data_and_is_reported_in_time(
    lab: LibvirtLab, host: ComputeHost
) -> None:
    host.read(EVERYTHING, 10)
    lab.freeze(WEB)
    try:
        start = time.monotonic()
        reading = host.read(EVERYTHING, 8)
        first = time.monotonic() - start
        start = time.monotonic()
        again = host.read(EVERYTHING, 8)
        second = time.monotonic() - start
    finally:
        lab.thaw(WEB)

    assert first < 8
    assert second < 1  # it is known to hang now, and not waited for
    for told in (reading, again):
        instances = ours(told)
        assert told.errors == {"hung guests": 1}
        assert told.cpu(instances[MAIL.name]).time > 0
        assert len(list(told.disks(instances[MAIL.name]))) == 1
        assert told.power_state(instances[WEB.name]) == 1
        assert told.vcpus(instances[WEB.name]) == 1
        assert len(list(told.nics(instances[WEB.name]))) == 2
        with pytest.raises(PollError, match="its monitor has not answered"):
            told.cpu(instances[WEB.name])
        with pytest.raises(PollError, match="its monitor has not answered"):
            list(told.disks(instances[WEB.name]))


def test_a_guest_that_goes_on_is_read_whole_again(lab: LibvirtLab, host: ComputeHost) -> None:
    lab.freeze(MAIL)
    try:
        assert host.read(EVERYTHING, 8).errors == {"hung guests": 1}
    finally:
        lab.thaw(MAIL)
    time.sleep(0.5)

    reading = host.read(EVERYTHING, 8)

    assert reading.errors == {}
    assert len(list(reading.disks(ours(reading)[MAIL.name]))) == 1


def test_a_killed_libvirtd_costs_no_reading_once_it_is_back(lab: LibvirtLab, host: ComputeHost) -> None:
    host.read(EVERYTHING, 10)
    lab.stop_daemon(signal.SIGKILL)
    try:
        with pytest.raises(HypervisorAway):
            host.read(EVERYTHING, 5)
    finally:
        lab.start_daemon()

    assert set(ours(host.read(EVERYTHING, 10))) == NAMES


def test_a_frozen_libvirtd_holds_nothing_up_for_longer_than_the_limit(lab: LibvirtLab, host: ComputeHost) -> None:
    host.read(EVERYTHING, 10)
    lab.freeze_daemon()
    try:
        before = threading.active_count()
        for _ in range(3):
            start = time.monotonic()
            with pytest.raises(HypervisorAway):
                host.read(EVERYTHING, 1)
            assert time.monotonic() - start < 2
        assert threading.active_count() <= before + 3  # the call, the old connection's end, the new one's begin
    finally:
        lab.thaw_daemon()

    assert set(ours(host.read(EVERYTHING, 10))) == NAMES


def test_a_guest_that_is_powered_off_between_two_readings_costs_only_itself(lab: LibvirtLab, host: ComputeHost) -> None:
    host.read(EVERYTHING, 10)
    lab.stop(FOREIGN)
    try:
        reading = host.read(EVERYTHING, 10)
    finally:
        lab.start(FOREIGN)

    assert set(ours(reading)) == NAMES - {FOREIGN.name}
    assert reading.errors == {}


def test_guests_that_come_and_go_while_they_are_read_cost_only_themselves(lab: LibvirtLab, host: ComputeHost) -> None:
    enough = threading.Event()

    def flap() -> None:
        while not enough.is_set():
            lab.stop(FOREIGN)
            lab.start(FOREIGN)

    flapping = threading.Thread(target=flap)
    flapping.start()
    try:
        for _ in range(6):
            reading = host.read(EVERYTHING, 10)
            others = {name: guest for name, guest in ours(reading).items() if name != FOREIGN.name}
            assert set(others) == NAMES - {FOREIGN.name}
            assert all(reading.cpu(instance).time > 0 for instance in others.values())
            assert reading.errors.get("unreadable guests", 0) == 0
    finally:
        enough.set()
        flapping.join()


def test_a_libvirtd_that_is_killed_in_the_middle_costs_that_poll_at_most(lab: LibvirtLab, host: ComputeHost) -> None:
    for moment in (0.0, 0.01, 0.05):
        host.read(EVERYTHING, 10)
        killer = threading.Timer(moment, lab.stop_daemon, [signal.SIGKILL])
        killer.start()
        start = time.monotonic()
        with contextlib.suppress(HypervisorAway):
            host.read(EVERYTHING, 5)
        assert time.monotonic() - start < 6
        killer.join()
        lab.start_daemon()

        assert set(ours(host.read(EVERYTHING, 10))) == NAMES


def test_a_change_of_metadata_or_devices_is_seen_at_the_next_reading(lab: LibvirtLab, host: ComputeHost) -> None:
    def titles() -> set[object]:
        return {instance.metadata["display_name"] for instance in ours(host.read(EVERYTHING, 10)).values()}

    host.read(EVERYTHING, 10)
    lab.retitle(FOREIGN, "renamed")
    try:
        until = time.monotonic() + 5
        while "renamed" not in titles():  # events come in a thread of their own
            assert time.monotonic() < until
        lab.plug(FOREIGN, "tap-plugged")

        reading = host.read(EVERYTHING, 10)
    finally:
        lab.stop(FOREIGN)
        lab.start(FOREIGN)

    assert [nic.vnic.name for nic in reading.nics(ours(reading)[FOREIGN.name])] == ["tap-plugged"]


def test_of_a_guest_that_is_off_the_space_of_its_disks_is_what_virsh_says(
    lab: LibvirtLab, connect: Callable[[], libvirt_host.Connection]
) -> None:
    host = ComputeHost(connect, "node-1", Policy(report_stopped=True))

    done = runner.poll_compute(host, POLLSTERS, lambda meter: True, 20, "o", datetime.now(UTC))

    told = {(c.name, c.resource_id): c.volume for c in done.counters if c.resource_metadata["instance_id"] == OFF.uuid}
    assert done.errors == {}
    assert told == virsh.told_of_stopped(lab, OFF)
    assert told["power.state", OFF.uuid] == 5
    assert len(told) == 3 + 3 * OFF.disks


def test_connections_that_are_left_are_closed(lab: LibvirtLab, host: ComputeHost) -> None:
    host.read(EVERYTHING, 10)
    before = sockets()
    for _ in range(3):
        lab.stop_daemon(signal.SIGKILL)
        lab.start_daemon()
        host.read(EVERYTHING, 10)

    until = time.monotonic() + 5
    while sockets() > before:  # they are closed in threads of their own
        assert time.monotonic() < until
        gc.collect()


def sockets() -> int:
    return sum(os.readlink(link).startswith("socket:") for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
