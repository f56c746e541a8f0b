"""That an instance is there, and what its flavor promises it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.compute.hypervisor import Hypervisor, Instance

INSTANCE = Meter("instance", Kind.GAUGE, "instance")
INSTANCE_OF_FLAVOR = Meter("instance:<flavor>", Kind.GAUGE, "instance")
ROOT_SIZE = Meter("disk.root.size", Kind.GAUGE, "GiB")
EPHEMERAL_SIZE = Meter("disk.ephemeral.size", Kind.GAUGE, "GiB")


class InstancePollster:
    """Each instance that runs, as 1; beside it the disk that its flavor gives it, where nova tells it."""

    meters = (INSTANCE, ROOT_SIZE, EPHEMERAL_SIZE)
    needs = frozenset[Any]()

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        about = instance.metadata
        for meter, volume in (
            (INSTANCE, 1),
            (ROOT_SIZE, about.get("root_gb")),
            (EPHEMERAL_SIZE, about.get("ephemeral_gb")),
        ):
            if volume is not None and volume >= 0:
                yield _read(meter, volume, instance)


class FlavorPollster:
    """The same 1 under a meter that bears the flavor's name, such as ``instance:m1.small``.

    Sources name these meters by a glob, ``instance:*``.
    """

    meters = (INSTANCE_OF_FLAVOR,)
    needs = frozenset[Any]()

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        flavor = instance.metadata.get("instance_type")
        if flavor:
            yield _read(replace(INSTANCE_OF_FLAVOR, name=f"instance:{flavor}"), 1, instance)


def _read(meter: Meter, volume: int, instance: Instance) -> Counter:
    return meter.read(
        volume,
        resource_id=instance.id,
        project_id=instance.project_id,
        user_id=instance.user_id,
        resource_metadata=instance.metadata,
    )
