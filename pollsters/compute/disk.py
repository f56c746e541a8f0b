"""What each disk of each instance read and wrote."""

from __future__ import annotations

from collections.abc import Iterator

from metering.counters import Counter, Kind, Meter
from pollsters.compute.hypervisor import DiskStats, Hypervisor, Instance, Statistic

READ_BYTES = Meter("disk.device.read.bytes", Kind.CUMULATIVE, "B")
READ_REQUESTS = Meter("disk.device.read.requests", Kind.CUMULATIVE, "request")
WRITE_BYTES = Meter("disk.device.write.bytes", Kind.CUMULATIVE, "B")
WRITE_REQUESTS = Meter("disk.device.write.requests", Kind.CUMULATIVE, "request")
READ_LATENCY = Meter("disk.device.read.latency", Kind.CUMULATIVE, "ns")
WRITE_LATENCY = Meter("disk.device.write.latency", Kind.CUMULATIVE, "ns")


class DiskPollster:
    """One resource per disk, ``<instance id>-<device>``. Counts start again from zero with the guest."""

    meters = (READ_BYTES, READ_REQUESTS, READ_LATENCY, WRITE_BYTES, WRITE_REQUESTS, WRITE_LATENCY)
    needs = frozenset({Statistic.DISKS})

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        for disk in hypervisor.disks(instance):
            metadata = instance.about(disk_name=disk.device)
            for meter, volume in figures(disk):
                if volume is not None:
                    yield meter.read(
                        volume,
                        resource_id=f"{instance.id}-{disk.device}",
                        project_id=instance.project_id,
                        user_id=instance.user_id,
                        resource_metadata=metadata,
                    )


def figures(disk: DiskStats) -> tuple[tuple[Meter, int | None], ...]:
    """Each meter with its volume, None where the hypervisor does not offer it."""
    return (
        (READ_BYTES, disk.read_bytes),
        (READ_REQUESTS, disk.read_requests),
        (READ_LATENCY, disk.read_time),
        (WRITE_BYTES, disk.write_bytes),
        (WRITE_REQUESTS, disk.write_requests),
        (WRITE_LATENCY, disk.write_time),
    )
