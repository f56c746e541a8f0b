"""Cinder's storage pools: how much they hold, and how much of it is promised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.central.paging import not_at_all
from pollsters.central.service import ServicePollster, number
from pollsters.runner import Place

_NAME = "volume.provider.pool.capacity"
TOTAL = Meter(f"{_NAME}.total", Kind.GAUGE, "GiB")
FREE = Meter(f"{_NAME}.free", Kind.GAUGE, "GiB")
ALLOCATED = Meter(f"{_NAME}.allocated", Kind.GAUGE, "GiB")
PROVISIONED = Meter(f"{_NAME}.provisioned", Kind.GAUGE, "GiB")
VIRTUAL_FREE = Meter(f"{_NAME}.virtual_free", Kind.GAUGE, "GiB")
FIELD_OF = {
    TOTAL: "total_capacity_gb",
    FREE: "free_capacity_gb",
    ALLOCATED: "allocated_capacity_gb",
    PROVISIONED: "provisioned_capacity_gb",
}
NO_FIGURE = (None, "unknown", "infinite")  # what a driver says that cannot tell


class VolumePoolPollster(ServicePollster):
    """A pool is named ``host@backend#pool``; it belongs to no project."""

    meters = (*FIELD_OF, VIRTUAL_FREE)
    service = "block-storage"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        path, query = "scheduler-stats/get_pools", {"detail": "true"}
        return self.clouds.entries(place, path, "pools", query, turn=not_at_all, identity=("name",))

    def counters(self, pool: dict[str, Any]) -> Iterator[Counter]:
        about = pool["capabilities"]
        metadata = {"pool_name": about.get("pool_name")}
        for meter, name in FIELD_OF.items():
            if about.get(name) not in NO_FIGURE:
                yield meter.read(number(about[name]), resource_id=pool["name"], resource_metadata=metadata)
        free = virtual_free(about)
        if free is not None:
            yield VIRTUAL_FREE.read(free, resource_id=pool["name"], resource_metadata=metadata)


def virtual_free(pool: Mapping[str, Any]) -> float | None:
    """GiB that may still be promised: what is not reserved, times what a thin pool may promise, less what it has."""
    total, provisioned = pool.get("total_capacity_gb"), pool.get("provisioned_capacity_gb")
    if total in NO_FIGURE or provisioned in NO_FIGURE:
        return None
    reserved = math.floor(number(total) * number(pool.get("reserved_percentage") or 0) / 100)
    thin = pool.get("thin_provisioning_support") is True
    ratio = float(pool.get("max_over_subscription_ratio") or 1) if thin else 1.0  # cinder gives it as a text
    return ratio * (number(total) - reserved) - number(provisioned)
