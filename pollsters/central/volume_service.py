"""Cinder's own services: whether each is up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.central import states
from pollsters.central.paging import not_at_all
from pollsters.central.service import ServicePollster, pick
from pollsters.runner import Place

HEALTH = Meter("volume.service.health", Kind.GAUGE, "health")


class VolumeServicePollster(ServicePollster):
    """1 up, 0 down, by cinder's own judgement of its heartbeat."""

    meters = (HEALTH,)
    service = "block-storage"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        identity = ("binary", "host")  # they have no id
        return self.clouds.entries(place, "os-services", "services", turn=not_at_all, identity=identity)

    def counters(self, service: dict[str, Any]) -> Iterator[Counter]:
        yield HEALTH.read(
            states.code(states.SERVICE, service.get("state"), HEALTH.name),
            resource_id=f"{service['binary']}@{service['host']}",
            resource_metadata=pick(service, "binary", "host", "zone", "status"),
        )
