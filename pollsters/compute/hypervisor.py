"""What we ask of a hypervisor, and what it answers. Pure Python: any hypervisor can answer so.

In every statistic, ``None`` means that the hypervisor does not offer this figure for this guest
(a guest without a balloon driver knows nothing of its free memory): no sample, and no error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from metering.counters import Metadata


class Statistic(StrEnum):
    """What a pollster may need read; the host is asked only for what an enabled pollster needs."""

    STATE = "state"  # always read
    CPU = "cpu"
    MEMORY = "memory"
    DISKS = "disks"
    SPACE = "space"
    NICS = "nics"
    PERF = "perf"


EVERYTHING = frozenset(Statistic)


@dataclass(frozen=True, slots=True)
class Instance:
    """One guest that the host had when it was read."""

    id: str  # the domain's UUID, which is nova's too
    name: str  # the hypervisor's own name, such as instance-0000002a
    project_id: str | None  # None: nobody's, seen by admins only
    user_id: str | None
    metadata: Mapping[str, Any] = field(default_factory=dict)  # what every sample of it carries
    running: bool = True  # one that is off is only there under METERING_REPORT_STOPPED
    _beside: dict[str, Metadata] = field(default_factory=dict, init=False, repr=False, compare=False)

    def about(self, **more: Any) -> Metadata:
        """Its metadata with more beside it; the same object again, as long as the same is put beside the same."""
        key = repr(more)
        if key not in self._beside:
            self._beside[key] = Metadata({**self.metadata, **more})
        return self._beside[key]


@dataclass(frozen=True, slots=True)
class CPUStats:
    """What the guest's virtual CPUs used."""

    time: int  # nanoseconds, all vCPUs together, since the guest last started
    vcpus: int  # in use now


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """The guest's memory, each figure in KiB."""

    actual: int | None = None  # given to the guest now (what the balloon leaves)
    available: int | None = None  # that the guest's kernel can use at all
    unused: int | None = None  # left wholly unused by the guest
    usable: int | None = None  # that the guest could still take without swapping
    resident: int | None = None  # of the host's memory, held by the guest's process
    swap_in: int | None = None  # read back from swap by the guest, since it started
    swap_out: int | None = None  # written to swap by the guest, since it started


@dataclass(frozen=True, slots=True)
class DiskStats:
    """One disk of the guest. Counts are since the guest last started."""

    device: str  # as the guest's definition names it, such as vda
    read_bytes: int | None = None
    read_requests: int | None = None
    write_bytes: int | None = None
    write_requests: int | None = None
    read_time: int | None = None  # nanoseconds spent on reads
    write_time: int | None = None  # nanoseconds spent on writes


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """What one disk of the guest takes, in bytes."""

    device: str
    capacity: int | None = None  # that the guest sees
    allocation: int | None = None  # written to on the host's storage
    physical: int | None = None  # that the disk's image or volume is long on the host


@dataclass(frozen=True, slots=True)
class VNIC:
    """One network interface of the guest, as its definition describes it."""

    name: str  # of the host's end, such as tap5f3c-1a
    mac: str
    fref: str | None = None  # name of the network filter on it
    parameters: Mapping[str, str] = field(default_factory=dict)  # of that filter, names in lower case
    interfaceid: str | None = None  # neutron's port, where Open vSwitch is told of it
    bridge: str | None = None


@dataclass(frozen=True, slots=True)
class NICStats:
    """What went through one network interface, as the guest sees it, since it last started."""

    vnic: VNIC
    rx_bytes: int | None = None
    rx_packets: int | None = None
    rx_errors: int | None = None
    rx_drops: int | None = None
    tx_bytes: int | None = None
    tx_packets: int | None = None
    tx_errors: int | None = None
    tx_drops: int | None = None


@dataclass(frozen=True, slots=True)
class PerfStats:
    """What the host's processor counted for the guest. Only events that its definition switches on are offered."""

    cycles: int | None = None  # of the processor
    instructions: int | None = None
    cache_references: int | None = None
    cache_misses: int | None = None
    l3_cache: int | None = None  # bytes of the last cache that the guest occupies
    bandwidth_total: int | None = None  # bytes/s between caches and all memory
    bandwidth_local: int | None = None  # bytes/s between caches and the memory of the guest's own node


class Hypervisor(Protocol):
    """One reading of one host, shared by all pollsters: asking it twice costs nothing and changes nothing.

    Every question about an instance raises `InstanceGone` when it went away while the host was
    read, and `PollError` when this statistic could not be read (the guest's monitor hangs, say).
    """

    @property
    def read_at(self) -> datetime:
        """The moment the host was read; the timestamp of every sample made from this reading."""

    @property
    def errors(self) -> Mapping[str, int]:
        """What went wrong with the host itself or with whole guests: a kind of trouble -> how often."""

    def instances(self) -> Sequence[Instance]:
        """The guests that ran, those that are not to be metered left out."""

    def cpu(self, instance: Instance) -> CPUStats: ...

    def vcpus(self, instance: Instance) -> int: ...

    def memory(self, instance: Instance) -> MemoryStats: ...

    def disks(self, instance: Instance) -> Iterable[DiskStats]: ...

    def space(self, instance: Instance) -> Iterable[DiskSpace]: ...

    def nics(self, instance: Instance) -> Iterable[NICStats]: ...

    def perf(self, instance: Instance) -> PerfStats: ...

    def growth(self, instance: Instance, what: str, count: int) -> int:
        """How much a count has grown since the last poll whose samples were kept, by a name unique in the instance.

        0 when it is counted for the first time; all of it when it started again from zero meanwhile. No growth is
        told twice, or lost when a worker ends: what was counted is remembered with the poll's samples.
        """

    def power_state(self, instance: Instance) -> int:
        """0 none, 1 running, 2 blocked, 3 paused, 4 shutting down, 5 shut off, 6 crashed, 7 suspended."""


class Host(Protocol):
    """A host that can be read, again and again."""

    def read(self, needs: frozenset[Statistic], seconds: float) -> Hypervisor:
        """Read what is needed of every running guest, in at most about ``seconds``.

        A guest that does not answer in time costs itself. Raises `HypervisorAway` when nothing can be read.
        """
