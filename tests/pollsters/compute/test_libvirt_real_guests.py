"""Against a real libvirtd with real guests: what it tells, what hangs, what dies."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from metering.errors import HypervisorAway, PollError
from pollsters.compute import libvirt_host
from pollsters.compute.host import ComputeHost
from pollsters.compute.hypervisor import EVERYTHING, Instance
from pollsters.compute.reading import Reading
from tests.libvirt_guests import MEMORY_MIB, PROJECT, USER, Guest
from tests.libvirt_lab import LibvirtLab
from tests.stage import Stage

WEB = Guest("poll-web", disks=2, nics=2)
MAIL = Guest("poll-mail")
FOREIGN = Guest("poll-foreign", nova=False, nics=0)
OFF = Guest("poll-off")
RUNNING = (WEB, MAIL, FOREIGN)


@pytest.fixture(scope="module")
def lab(stage: Stage) -> Iterator[LibvirtLab]:
    """The lab with three running guests and one that is off."""
    lab = stage.libvirt_lab
    lab.wait_ready()
    for guest in (*RUNNING, OFF):
        lab.define(guest)
    for guest in RUNNING:
        lab.start(guest)
    yield lab
    for guest in (*RUNNING, OFF):
        lab.remove(guest)


@pytest.fixture
def host(lab: LibvirtLab) -> ComputeHost:
    return ComputeHost(lambda: libvirt_host.Connection(lab.read_only_uri), "node-1")


def ours(reading: Reading) -> dict[str, Instance]:
    """Our guests by name: another test's may run on the same daemon."""
    return {instance.name: instance for instance in reading.instances() if instance.name.startswith("poll-")}


def domstats(lab: LibvirtLab, guest: Guest) -> dict[str, str]:
    """What virsh says of a guest."""
    command = ["virsh", "--quiet", "--readonly", "--connect", lab.read_only_uri, "domstats", "--raw", guest.name]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.strip().split("=", 1) for line in told.splitlines() if "=" in line)


def figures(reading: Reading, guest: Guest) -> dict[str, int | None]:
    """What we say of it, under virsh's names."""
    instance = ours(reading)[guest.name]
    memory, told = reading.memory(instance), dict[str, int | None]()
    told |= {"state.state": reading.power_state(instance), "vcpu.current": reading.vcpus(instance)}
    told |= {"balloon.current": memory.actual, "balloon.rss": memory.resident}
    for index, disk in enumerate(reading.disks(instance)):
        counts = {"rd.reqs": disk.read_requests, "rd.bytes": disk.read_bytes, "rd.times": disk.read_time}
        counts |= {"wr.reqs": disk.write_requests, "wr.bytes": disk.write_bytes, "wr.times": disk.write_time}
        counts |= {"capacity": disk.capacity, "allocation": disk.allocation, "physical": disk.physical}
        told |= {f"block.{index}.{name}": count for name, count in counts.items()}
    for index, nic in enumerate(reading.nics(instance)):
        counts = {"rx.bytes": nic.rx_bytes, "rx.pkts": nic.rx_packets, "rx.errs": nic.rx_errors}
        counts |= {"rx.drop": nic.rx_drops, "tx.bytes": nic.tx_bytes, "tx.pkts": nic.tx_packets}
        counts |= {"tx.errs": nic.tx_errors, "tx.drop": nic.tx_drops}
        told |= {f"net.{index}.{name}": count for name, count in counts.items()}
    return told


@pytest.mark.parametrize("guest", RUNNING, ids=lambda guest: guest.name)
def test_figures_equal_what_virsh_says(guest: Guest, lab: LibvirtLab, host: ComputeHost) -> None:
    before = domstats(lab, guest)
    reading = host.read(EVERYTHING, 10)
    after = domstats(lab, guest)

    told = figures(reading, guest)

    # Counts move on between two questions: ours lies between virsh's, and where those agree is equal to both.
    assert len(told) == 4 + 9 * guest.disks + 8 * guest.nics
    for name, value in told.items():
        assert value is not None
        low, high = sorted((int(before[name]), int(after[name])))
        assert low <= value <= high, name


def test_cpu_time_is_what_virsh_says_of_the_vcpus(lab: LibvirtLab, host: ComputeHost) -> None:
    def of_vcpus(told: dict[str, str]) -> int:
        return int(told["vcpu.0.time"]) + int(told["vcpu.0.wait"])

    before = of_vcpus(domstats(lab, MAIL))
    reading = host.read(EVERYTHING, 10)
    after = of_vcpus(domstats(lab, MAIL))

    assert 0 < before <= reading.cpu(ours(reading)[MAIL.name]).time <= after


def test_guests_are_whose_nova_says_and_those_that_are_off_are_not_read(host: ComputeHost) -> None:
    instances = ours(host.read(EVERYTHING, 10))

    assert set(instances) == {guest.name for guest in RUNNING}
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

    assert set(ours(host.read(EVERYTHING, 10))) == {guest.name for guest in RUNNING}


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
        assert threading.active_count() <= before + 2
    finally:
        lab.thaw_daemon()

    assert set(ours(host.read(EVERYTHING, 10))) == {guest.name for guest in RUNNING}


def test_a_guest_that_is_powered_off_between_two_readings_costs_only_itself(lab: LibvirtLab, host: ComputeHost) -> None:
    host.read(EVERYTHING, 10)
    lab.stop(FOREIGN)
    try:
        reading = host.read(EVERYTHING, 10)
    finally:
        lab.start(FOREIGN)

    assert set(ours(reading)) == {WEB.name, MAIL.name}
    assert reading.errors == {}


def test_guests_that_come_and_go_while_they_are_read_cost_only_themselves(lab: LibvirtLab, host: ComputeHost) -> None:
    ended = threading.Event()

    def flap() -> None:
        for _ in range(3):
            lab.stop(FOREIGN)
            lab.start(FOREIGN)
        ended.set()

    threading.Thread(target=flap).start()
    readings = 0
    while not ended.is_set():
        reading = host.read(EVERYTHING, 10)
        readings += 1
        assert {WEB.name, MAIL.name} <= set(ours(reading))
        assert all(
            reading.cpu(instance).time > 0 for instance in ours(reading).values() if instance.name != FOREIGN.name
        )
        assert reading.errors.get("unreadable guests", 0) == 0

    assert readings > 5
