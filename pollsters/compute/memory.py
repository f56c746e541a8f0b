"""Memory given to each instance, used and swapped in it, and held by it on the host."""

from __future__ import annotations

from collections.abc import Iterator

from metering.counters import Counter, Kind, Meter
from pollsters.compute.hypervisor import Hypervisor, Instance, MemoryStats, Statistic

MEMORY = Meter("memory", Kind.GAUGE, "MiB")
MEMORY_AVAILABLE = Meter("memory.available", Kind.GAUGE, "MiB")
MEMORY_USAGE = Meter("memory.usage", Kind.GAUGE, "MiB")
MEMORY_RESIDENT = Meter("memory.resident", Kind.GAUGE, "MiB")
SWAP_IN = Meter("memory.swap.in", Kind.CUMULATIVE, "MiB")
SWAP_OUT = Meter("memory.swap.out", Kind.CUMULATIVE, "MiB")

KIB_PER_MIB = 1024


class MemoryPollster:
    """Only a guest with a balloon driver tells what happens in it; the other figures are the host's.

    Of a guest that is off there is the memory that it would be given.
    """

    meters = (MEMORY, MEMORY_AVAILABLE, MEMORY_USAGE, MEMORY_RESIDENT, SWAP_IN, SWAP_OUT)
    needs = frozenset({Statistic.MEMORY})
    of_stopped = True

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        for meter, kib in figures(hypervisor.memory(instance)):
            if kib is not None:
                yield meter.read(
                    kib / KIB_PER_MIB,
                    resource_id=instance.id,
                    project_id=instance.project_id,
                    user_id=instance.user_id,
                    resource_metadata=instance.metadata,
                )


def figures(stats: MemoryStats) -> tuple[tuple[Meter, int | None], ...]:
    """Each meter with its KiB, None where the guest does not offer it. Swapping is told both ways or not at all."""
    swaps = stats.swap_in is not None and stats.swap_out is not None
    return (
        (MEMORY, stats.actual),
        (MEMORY_AVAILABLE, stats.available),
        (MEMORY_USAGE, used(stats)),
        (MEMORY_RESIDENT, stats.resident),
        (SWAP_IN, stats.swap_in if swaps else None),
        (SWAP_OUT, stats.swap_out if swaps else None),
    )


def used(stats: MemoryStats) -> int | None:
    """KiB in use in the guest, its reclaimable caches not counted where it tells them; None when it does not tell."""
    free = stats.usable if stats.usable is not None else stats.unused
    if stats.available is None or free is None or free > stats.available:
        return None
    return stats.available - free
