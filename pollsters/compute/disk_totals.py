"""What all disks of each instance together read and wrote: one resource per instance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from metering.counters import Counter, Kind, Meter
from pollsters.compute.hypervisor import DiskStats, Hypervisor, Instance, Statistic

READ_BYTES = Meter("disk.read.bytes", Kind.CUMULATIVE, "B")
READ_REQUESTS = Meter("disk.read.requests", Kind.CUMULATIVE, "request")
WRITE_BYTES = Meter("disk.write.bytes", Kind.CUMULATIVE, "B")
WRITE_REQUESTS = Meter("disk.write.requests", Kind.CUMULATIVE, "request")


class DiskTotalsPollster:
    """Sums over the disks. A sum that would lack a disk is not sent: it would seem to fall, and rise again."""

    meters = (READ_BYTES, READ_REQUESTS, WRITE_BYTES, WRITE_REQUESTS)
    needs = frozenset({Statistic.DISKS})

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        disks = tuple(hypervisor.disks(instance))
        metadata = instance.about(device=[disk.device for disk in disks])
        for meter, volume in totals(disks):
            if volume is not None:
                yield meter.read(
                    volume,
                    resource_id=instance.id,
                    project_id=instance.project_id,
                    user_id=instance.user_id,
                    resource_metadata=metadata,
                )


def totals(disks: Sequence[DiskStats]) -> tuple[tuple[Meter, int | None], ...]:
    """Each meter with its sum, None where a disk does not offer the figure, or there is no disk."""
    return (
        (READ_BYTES, total([disk.read_bytes for disk in disks])),
        (READ_REQUESTS, total([disk.read_requests for disk in disks])),
        (WRITE_BYTES, total([disk.write_bytes for disk in disks])),
        (WRITE_REQUESTS, total([disk.write_requests for disk in disks])),
    )


def total(figures: Sequence[int | None]) -> int | None:
    """The sum of figures that are all there, else None."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known and len(known) == len(figures) else None
