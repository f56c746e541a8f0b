"""CPU time used by each instance on this host."""

from __future__ import annotations

from collections.abc import Iterator

from metering.counters import Counter, Kind, Meter
from pollsters.compute.hypervisor import Hypervisor, Instance, Statistic

CPU = Meter("cpu", Kind.CUMULATIVE, "ns")


class CPUPollster:
    """Read the hypervisor's own CPU clock for the guest.

    It starts again from zero when the guest restarts. We send it as read: only a
    query, which sees the readings on both sides, can tell a restart from a fault.
    """

    meters = (CPU,)
    needs = frozenset({Statistic.CPU})

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        stats = hypervisor.cpu(instance)
        yield CPU.read(
            stats.time,
            resource_id=instance.id,
            project_id=instance.project_id,
            user_id=instance.user_id,
            resource_metadata=instance.about(cpu_number=stats.vcpus),
        )
