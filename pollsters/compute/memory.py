"""Memory given to each instance, used in it, and held by it on the host."""

from __future__ import annotations

from collections.abc import Iterator

from metering.counters import Counter, Kind, Meter
from pollsters.compute.hypervisor import Hypervisor, Instance, MemoryStats, Statistic

MEMORY = Meter("memory", Kind.GAUGE, "MiB")
MEMORY_USAGE = Meter("memory.usage", Kind.GAUGE, "MiB")
MEMORY_RESIDENT = Meter("memory.resident", Kind.GAUGE, "MiB")

KIB_PER_MIB = 1024


class MemoryPollster:
    """Only a guest with a balloon driver tells what is used in it; the other figures are the host's."""

    meters = (MEMORY, MEMORY_USAGE, MEMORY_RESIDENT)
    needs = frozenset({Statistic.MEMORY})

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        stats = hypervisor.memory(instance)
        for meter, kib in (
            (MEMORY, stats.actual),
            (MEMORY_USAGE, used(stats)),
            (MEMORY_RESIDENT, stats.resident),
        ):
            if kib is not None:
                yield meter.read(
                    kib / KIB_PER_MIB,
                    resource_id=instance.id,
                    project_id=instance.project_id,
                    user_id=instance.user_id,
                    resource_metadata=instance.metadata,
                )


def used(stats: MemoryStats) -> int | None:
    """KiB in use in the guest, its reclaimable caches not counted where it tells them; None when it does not tell."""
    free = stats.usable if stats.usable is not None else stats.unused
    if stats.available is None or free is None or free > stats.available:
        return None
    return stats.available - free
