"""How many virtual CPUs each instance has now."""

from __future__ import annotations

from collections.abc import Iterator

from metering.counters import Counter, Kind, Meter
from pollsters.compute.hypervisor import Hypervisor, Instance, Statistic

VCPUS = Meter("vcpus", Kind.GAUGE, "vcpu")


class VCPUsPollster:
    """Count the virtual CPUs in use; fewer than the flavor's while some are unplugged."""

    meters = (VCPUS,)
    needs = frozenset({Statistic.CPU})
    of_stopped = True

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        yield VCPUS.read(
            hypervisor.vcpus(instance),
            resource_id=instance.id,
            project_id=instance.project_id,
            user_id=instance.user_id,
            resource_metadata=instance.metadata,
        )
