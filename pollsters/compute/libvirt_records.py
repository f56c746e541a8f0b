"""What libvirt tells of one guest, under the names of its bulk statistics, and what that means.

The bulk names are the one form in which the rest knows libvirt's figures: where libvirt has to be
asked call by call, the answers are put under the same names (see `libvirt_host`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from metering.errors import PollError
from pollsters.compute.hypervisor import (
    VNIC,
    CPUStats,
    DiskSpace,
    DiskStats,
    MemoryStats,
    NICStats,
    PerfStats,
    Statistic,
)

WRAPPED = 1 << 63  # a figure from here on is a negative one in a field without a sign


@dataclass(frozen=True, slots=True)
class Record:
    """One guest's figures, and for the statistics that could not be read, or not wholly, why."""

    values: Mapping[str, Any]
    faults: Mapping[Statistic, str] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        """A figure; None when it is absent or negative, which is how libvirt says that it has none."""
        value = self.values.get(name)
        return value if isinstance(value, int) and 0 <= value < WRAPPED else None

    def require(self, name: str, statistic: Statistic) -> int:
        """A figure that every running guest has. Raises `PollError` with what kept libvirt from telling it."""
        value = self.number(name)
        if value is None:
            raise PollError(self.faults.get(statistic, f"libvirt offers no {name}"))
        return value

    def complain(self, statistic: Statistic) -> None:
        """Raise `PollError` when the statistic could not be read wholly."""
        if statistic in self.faults:
            raise PollError(self.faults[statistic])


def power_state(record: Record) -> int:
    """Libvirt's number for the state."""
    return record.require("state.state", Statistic.STATE)


def cpu(record: Record) -> CPUStats:
    """What all vCPUs used; never from another clock when this one cannot be read: it would seem to jump."""
    used = _of_all_vcpus(record)
    if used is None:
        used = record.require("cpu.time", Statistic.CPU)
    return CPUStats(time=used, vcpus=vcpus(record))


def vcpus(record: Record) -> int:
    """How many vCPUs are in use."""
    return record.require("vcpu.current", Statistic.CPU)


def _of_all_vcpus(record: Record) -> int | None:
    """Nanoseconds that the vCPUs ran or waited to run; None unless libvirt tells both of each one in use."""
    known = [
        ran + waited
        for index in range(record.number("vcpu.maximum") or 0)
        if (ran := record.number(f"vcpu.{index}.time")) is not None
        and (waited := record.number(f"vcpu.{index}.wait")) is not None
    ]
    return sum(known) if known and len(known) == record.number("vcpu.current") else None


def memory(record: Record) -> MemoryStats:
    """What libvirt tells of memory: of a guest whose monitor hangs, the balloon's size alone."""
    actual = record.number("balloon.current")
    if actual is None:
        record.complain(Statistic.MEMORY)
    return MemoryStats(
        actual=actual,
        available=record.number("balloon.available"),
        unused=record.number("balloon.unused"),
        usable=record.number("balloon.usable"),
        resident=record.number("balloon.rss"),
        swap_in=record.number("balloon.swap_in"),
        swap_out=record.number("balloon.swap_out"),
    )


def disks(record: Record, devices: tuple[str, ...]) -> Iterator[DiskStats]:
    """The disks among ``devices`` (libvirt also counts drives with nothing in them), then any fault there was."""
    for index in range(record.require("block.count", Statistic.DISKS) if devices else 0):
        name = record.values.get(f"block.{index}.name")
        if name in devices:
            yield _disk(record, name, f"block.{index}.")
    record.complain(Statistic.DISKS)


def _disk(record: Record, name: str, prefix: str) -> DiskStats:
    return DiskStats(
        device=name,
        read_bytes=record.number(prefix + "rd.bytes"),
        read_requests=record.number(prefix + "rd.reqs"),
        write_bytes=record.number(prefix + "wr.bytes"),
        write_requests=record.number(prefix + "wr.reqs"),
        read_time=record.number(prefix + "rd.times"),
        write_time=record.number(prefix + "wr.times"),
    )


def space(record: Record, devices: tuple[str, ...]) -> Iterator[DiskSpace]:
    """What the disks take, then any fault there was."""
    for device in devices:
        if f"space.{device}.capacity" in record.values:
            figures = (record.number(f"space.{device}.{name}") for name in ("capacity", "allocation", "physical"))
            yield DiskSpace(device, *figures)
    record.complain(Statistic.SPACE)


def nics(record: Record, vnics: tuple[VNIC, ...]) -> Iterator[NICStats]:
    """The interfaces among ``vnics``, then any fault there was."""
    by_name = {vnic.name: vnic for vnic in vnics}
    for index in range(record.require("net.count", Statistic.NICS) if vnics else 0):
        vnic = by_name.get(record.values.get(f"net.{index}.name", ""))
        if vnic is not None:
            yield _nic(record, vnic, f"net.{index}.")
    record.complain(Statistic.NICS)


def _nic(record: Record, vnic: VNIC, prefix: str) -> NICStats:
    return NICStats(
        vnic=vnic,
        rx_bytes=record.number(prefix + "rx.bytes"),
        rx_packets=record.number(prefix + "rx.pkts"),
        rx_errors=record.number(prefix + "rx.errs"),
        rx_drops=record.number(prefix + "rx.drop"),
        tx_bytes=record.number(prefix + "tx.bytes"),
        tx_packets=record.number(prefix + "tx.pkts"),
        tx_errors=record.number(prefix + "tx.errs"),
        tx_drops=record.number(prefix + "tx.drop"),
    )


def perf(record: Record) -> PerfStats:
    """The processor's events; most guests offer none."""
    record.complain(Statistic.PERF)
    return PerfStats(
        cycles=record.number("perf.cpu_cycles"),
        instructions=record.number("perf.instructions"),
        cache_references=record.number("perf.cache_references"),
        cache_misses=record.number("perf.cache_misses"),
        l3_cache=record.number("perf.cmt"),
        bandwidth_total=record.number("perf.mbmt"),
        bandwidth_local=record.number("perf.mbml"),
    )


def unknown_devices(record: Record, devices: tuple[str, ...], vnics: tuple[VNIC, ...]) -> bool:
    """True when libvirt counts an interface or disk that the definition we know does not have: it changed."""
    known = {vnic.name for vnic in vnics}
    nets = range(record.number("net.count") or 0)
    if any(record.values.get(f"net.{index}.name", "") not in known for index in nets):
        return True
    blocks = range(record.number("block.count") or 0)
    return any(
        record.values.get(f"block.{index}.name") not in devices and record.number(f"block.{index}.capacity")
        for index in blocks
    )
