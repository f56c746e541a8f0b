"""Stand-ins for the far side of our edges: a hypervisor, a broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from pollsters.compute.hypervisor import (
    CPUStats,
    DiskSpace,
    DiskStats,
    Instance,
    MemoryStats,
    NICStats,
    PerfStats,
    Statistic,
)

T = TypeVar("T")
READ_AT = datetime(2026, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@dataclass(frozen=True)
class FakeGuest:
    """What the hypervisor answers about one guest; an exception is raised instead."""

    cpu: CPUStats | Exception = field(default_factory=lambda: CPUStats(time=1, vcpus=1))
    vcpus: int | Exception = 1
    memory: MemoryStats | Exception = field(default_factory=MemoryStats)
    disks: Sequence[DiskStats] | Exception = ()
    space: Sequence[DiskSpace] | Exception = ()
    nics: Sequence[NICStats] | Exception = ()
    perf: PerfStats | Exception = field(default_factory=PerfStats)
    power_state: int | Exception = 1
    counted: Mapping[str, int] = field(default_factory=dict)  # at the poll before this one


class FakeHypervisor:
    """A host with these guests, and one reading of it."""

    def __init__(self, guests: Iterable[tuple[Instance, FakeGuest]]) -> None:
        self._guests = {instance.id: (instance, guest) for instance, guest in guests}
        self.read_at = READ_AT
        self.errors: Mapping[str, int] = {}
        self.asked_for: list[frozenset[Statistic]] = []  # by each reading

    def read(self, needs: frozenset[Statistic], seconds: float) -> FakeHypervisor:
        self.asked_for.append(needs)
        return self

    def instances(self) -> Sequence[Instance]:
        return [instance for instance, _ in self._guests.values()]

    def cpu(self, instance: Instance) -> CPUStats:
        return _answer(self._guest(instance).cpu)

    def vcpus(self, instance: Instance) -> int:
        return _answer(self._guest(instance).vcpus)

    def memory(self, instance: Instance) -> MemoryStats:
        return _answer(self._guest(instance).memory)

    def disks(self, instance: Instance) -> Iterable[DiskStats]:
        return _answer(self._guest(instance).disks)

    def space(self, instance: Instance) -> Iterable[DiskSpace]:
        return _answer(self._guest(instance).space)

    def nics(self, instance: Instance) -> Iterable[NICStats]:
        return _answer(self._guest(instance).nics)

    def perf(self, instance: Instance) -> PerfStats:
        return _answer(self._guest(instance).perf)

    def growth(self, instance: Instance, what: str, count: int) -> int:
        return count - self._guest(instance).counted.get(what, count)

    def power_state(self, instance: Instance) -> int:
        return _answer(self._guest(instance).power_state)

    def _guest(self, instance: Instance) -> FakeGuest:
        return self._guests[instance.id][1]


class FakeBroker:
    """Takes tasks as a Celery application does, and keeps them; or is away."""

    def __init__(self) -> None:
        self.batches: list[str] = []
        self.away = False

    def send_task(self, name: str, args: tuple[str], **options: Any) -> None:
        if self.away:
            raise OSError("connection refused")
        self.batches.append(args[0])


def _answer(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer
