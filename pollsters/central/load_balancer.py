"""Octavia's load balancers: how each is doing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.central import states
from pollsters.central.service import ServicePollster, pick
from pollsters.runner import Place

OPERATING = Meter("loadbalancer.operating", Kind.GAUGE, "status")
PROVISIONING = Meter("loadbalancer.provisioning", Kind.GAUGE, "status")
FIELDS = (
    "name", "availability_zone", "vip_address", "vip_port_id", "provisioning_status", "operating_status", "provider",
    "flavor_id",
)  # fmt: skip


class LoadBalancerPollster(ServicePollster):
    """Two numbers for each: of whether it works, and of what is being done to it."""

    meters = (OPERATING, PROVISIONING)
    service = "load-balancer"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        return self.clouds.entries(place, "v2.0/lbaas/loadbalancers", "loadbalancers", {"limit": "1000"})

    def counters(self, balancer: dict[str, Any]) -> Iterator[Counter]:
        about: dict[str, Any] = {
            "resource_id": balancer["id"],
            "project_id": balancer["project_id"],
            "resource_metadata": pick(balancer, *FIELDS),
        }
        operating, provisioning = balancer.get("operating_status"), balancer.get("provisioning_status")
        yield OPERATING.read(states.code(states.OPERATING, operating, OPERATING.name), **about)
        yield PROVISIONING.read(states.code(states.PROVISIONING, provisioning, PROVISIONING.name), **about)
