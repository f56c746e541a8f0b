"""The space that each disk of each instance takes, and all its disks together."""

from __future__ import annotations

from collections.abc import Iterator

from metering.counters import Counter, Kind, Meter
from pollsters.compute.disk_totals import total
from pollsters.compute.hypervisor import DiskSpace, Hypervisor, Instance, Statistic

CAPACITY = Meter("disk.device.capacity", Kind.GAUGE, "B")
ALLOCATION = Meter("disk.device.allocation", Kind.GAUGE, "B")
USAGE = Meter("disk.device.usage", Kind.GAUGE, "B")
TOTAL_CAPACITY = Meter("disk.capacity", Kind.GAUGE, "B")
TOTAL_ALLOCATION = Meter("disk.allocation", Kind.GAUGE, "B")
TOTAL_USAGE = Meter("disk.usage", Kind.GAUGE, "B")


class DiskSpacePollster:
    """One resource per disk, ``<instance id>-<device>``; also of guests that are off."""

    meters = (CAPACITY, ALLOCATION, USAGE)
    needs = frozenset({Statistic.SPACE})
    of_stopped = True

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        for disk in hypervisor.space(instance):
            metadata = instance.about(disk_name=disk.device)
            for meter, volume in ((CAPACITY, capacity(disk)), (ALLOCATION, disk.allocation), (USAGE, disk.physical)):
                if volume is not None:
                    yield meter.read(
                        volume,
                        resource_id=f"{instance.id}-{disk.device}",
                        project_id=instance.project_id,
                        user_id=instance.user_id,
                        resource_metadata=metadata,
                    )


class TotalSpacePollster:
    """Sums over the disks; the resource is the instance. A sum that would lack a disk is not sent."""

    meters = (TOTAL_CAPACITY, TOTAL_ALLOCATION, TOTAL_USAGE)
    needs = frozenset({Statistic.SPACE})

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        disks = tuple(hypervisor.space(instance))
        metadata = instance.about(device=[disk.device for disk in disks])
        for meter, volume in (
            (TOTAL_CAPACITY, total([capacity(disk) for disk in disks])),
            (TOTAL_ALLOCATION, total([disk.allocation for disk in disks])),
            (TOTAL_USAGE, total([disk.physical for disk in disks])),
        ):
            if volume is not None:
                yield meter.read(
                    volume,
                    resource_id=instance.id,
                    project_id=instance.project_id,
                    user_id=instance.user_id,
                    resource_metadata=metadata,
                )


def capacity(disk: DiskSpace) -> int | None:
    """Bytes that the guest sees; of a CD-ROM the hypervisor knows only what it takes on the host."""
    if disk.capacity is None or disk.physical is None:
        return disk.capacity
    return max(disk.capacity, disk.physical)
