from __future__ import annotations

import pytest

from metering.errors import PollError
from pollsters.compute import libvirt_records
from pollsters.compute.hypervisor import VNIC, DiskSpace, PerfStats, Statistic
from pollsters.compute.libvirt_records import Record

TWO_VCPUS = {
    "cpu.time": 999,
    "vcpu.current": 2,
    "vcpu.maximum": 4,
    "vcpu.0.time": 100,
    "vcpu.0.wait": 5,
    "vcpu.2.time": 200,
    "vcpu.2.wait": 7,
}


def test_cpu_time_is_what_the_vcpus_ran_and_waited() -> None:
    assert libvirt_records.cpu(Record(TWO_VCPUS)).time == 312


@pytest.mark.parametrize(
    "different",
    [
        {"vcpu.current": 3},  # of one the time is not told
        {"vcpu.2.wait": None},  # an old kernel tells no waits
        {"vcpu.2.time": -1},
        {"vcpu.maximum": None},
    ],
)
def test_where_not_every_vcpu_tells_both_cpu_time_is_the_whole_guests(different: dict[str, int | None]) -> None:
    values = {name: value for name, value in (TWO_VCPUS | different).items() if value is not None}

    assert libvirt_records.cpu(Record(values)).time == 999


def test_what_libvirt_does_not_tell_of_a_cpu_is_an_error_and_says_why() -> None:
    with pytest.raises(PollError, match=r"libvirt offers no cpu\.time"):
        libvirt_records.cpu(Record({"vcpu.current": 1}))
    with pytest.raises(PollError, match="it hangs"):
        libvirt_records.cpu(Record({"vcpu.current": 1}, {Statistic.CPU: "it hangs"}))


def test_negative_figures_are_not_offered() -> None:
    record = Record({"balloon.current": 16, "balloon.rss": -1})

    assert libvirt_records.memory(record).resident is None
    assert libvirt_records.memory(record).actual == 16


def test_of_a_hung_guest_the_size_of_its_balloon_is_told_when_it_is_known() -> None:
    hung = {Statistic.MEMORY: "it hangs"}

    assert libvirt_records.memory(Record({"balloon.current": 16}, hung)).actual == 16
    with pytest.raises(PollError, match="it hangs"):
        libvirt_records.memory(Record({}, hung))


def test_only_disks_of_the_definition_are_told() -> None:
    record = Record({"block.count": 2, "block.0.name": "hdc", "block.1.name": "vda", "block.1.rd.bytes": 7})

    [disk] = libvirt_records.disks(record, ("vda",))

    assert (disk.device, disk.read_bytes, disk.write_bytes) == ("vda", 7, None)


def test_a_guest_without_disks_and_interfaces_has_none() -> None:
    assert list(libvirt_records.disks(Record({}), ())) == []
    assert list(libvirt_records.nics(Record({}), ())) == []


def test_disks_that_could_be_read_are_told_before_the_fault_of_another() -> None:
    record = Record({"block.count": 2, "block.1.name": "vdb"}, {Statistic.DISKS: "vda is broken"})
    told = libvirt_records.disks(record, ("vda", "vdb"))

    assert next(told).device == "vdb"
    with pytest.raises(PollError, match="vda is broken"):
        next(told)


def test_interfaces_are_matched_by_name() -> None:
    record = Record(
        {"net.count": 2, "net.0.name": "tap9", "net.1.name": "tap1", "net.1.rx.drop": 3, "net.1.tx.errs": 4}
    )
    vnic = VNIC("tap1", "fa:16:3e:00:00:01")

    [nic] = libvirt_records.nics(record, (vnic,))

    assert (nic.vnic, nic.rx_drops, nic.tx_errors, nic.rx_bytes) == (vnic, 3, 4, None)


def test_a_device_that_the_definition_does_not_have_shows_that_it_is_old() -> None:
    record = Record(
        {"net.count": 1, "net.0.name": "tap1", "block.count": 1, "block.0.name": "vdb", "block.0.capacity": 9}
    )
    vnics = (VNIC("tap1", "m"),)

    assert libvirt_records.unknown_devices(record, ("vda",), vnics)
    assert libvirt_records.unknown_devices(record, ("vda", "vdb"), ())
    assert not libvirt_records.unknown_devices(record, ("vda", "vdb"), vnics)


def test_an_empty_drive_is_no_sign_of_a_change() -> None:
    record = Record({"block.count": 1, "block.0.name": "hdc", "block.0.capacity": 0})

    assert not libvirt_records.unknown_devices(record, (), ())


@pytest.mark.parametrize("wrapped", [1 << 63, (1 << 64) - 1, -1])
def test_a_negative_figure_is_not_offered_also_where_its_field_has_no_sign(wrapped: int) -> None:
    record = Record({"net.count": 1, "net.0.name": "tap1", "net.0.rx.bytes": wrapped, "net.0.tx.bytes": 7})

    [nic] = libvirt_records.nics(record, (VNIC("tap1", "m"),))

    assert (nic.rx_bytes, nic.tx_bytes) == (None, 7)


def test_the_space_of_disks_that_could_be_asked_is_told_before_the_fault_of_another() -> None:
    figures = {"space.vdb.capacity": 9, "space.vdb.allocation": 8, "space.vdb.physical": -1}
    told = libvirt_records.space(Record(figures, {Statistic.SPACE: "vda is broken"}), ("vda", "vdb"))

    assert next(told) == DiskSpace("vdb", 9, 8, None)
    with pytest.raises(PollError, match="vda is broken"):
        next(told)


def test_events_of_the_processor_that_are_switched_off_are_not_offered() -> None:
    stats = libvirt_records.perf(Record({"perf.cpu_cycles": 5, "perf.mbmt": 7}))

    assert stats == PerfStats(cycles=5, bandwidth_total=7)
