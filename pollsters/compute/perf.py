"""What the processor counted for each instance: cycles, instructions, use of caches and of the memory bus."""

from __future__ import annotations

from collections.abc import Iterator

from metering.counters import Counter, Kind, Meter
from pollsters.compute.hypervisor import Hypervisor, Instance, Statistic

CYCLES = Meter("perf.cpu.cycles", Kind.GAUGE, "cycle")
INSTRUCTIONS = Meter("perf.instructions", Kind.GAUGE, "instruction")
CACHE_REFERENCES = Meter("perf.cache.references", Kind.GAUGE, "count")
CACHE_MISSES = Meter("perf.cache.misses", Kind.GAUGE, "count")
L3_CACHE = Meter("cpu_l3_cache", Kind.GAUGE, "B")
BANDWIDTH_TOTAL = Meter("memory.bandwidth.total", Kind.GAUGE, "B/s")
BANDWIDTH_LOCAL = Meter("memory.bandwidth.local", Kind.GAUGE, "B/s")


class PerfPollster:
    """Only events that the guest's definition switches on (nova: ``enabled_perf_events``) are offered."""

    meters = (CYCLES, INSTRUCTIONS, CACHE_REFERENCES, CACHE_MISSES, L3_CACHE, BANDWIDTH_TOTAL, BANDWIDTH_LOCAL)
    needs = frozenset({Statistic.PERF})

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        stats = hypervisor.perf(instance)
        for meter, volume in (
            (CYCLES, stats.cycles),
            (INSTRUCTIONS, stats.instructions),
            (CACHE_REFERENCES, stats.cache_references),
            (CACHE_MISSES, stats.cache_misses),
            (L3_CACHE, stats.l3_cache),
            (BANDWIDTH_TOTAL, stats.bandwidth_total),
            (BANDWIDTH_LOCAL, stats.bandwidth_local),
        ):
            if volume is not None:
                yield meter.read(
                    volume,
                    resource_id=instance.id,
                    project_id=instance.project_id,
                    user_id=instance.user_id,
                    resource_metadata=instance.metadata,
                )
