"""Floating IP addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.central import states
from pollsters.central.service import ServicePollster, pick
from pollsters.runner import Place

FLOATING_IP = Meter("ip.floating", Kind.GAUGE, "ip")
FIELDS = ("router_id", "status", "floating_network_id", "fixed_ip_address", "port_id", "floating_ip_address")


class FloatingIPPollster(ServicePollster):
    """The volume is the number of its state: 1 active, 3 down."""

    meters = (FLOATING_IP,)
    service = "network"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        return self.clouds.entries(place, "v2.0/floatingips", "floatingips", {"limit": "1000"})

    def counters(self, address: dict[str, Any]) -> Iterator[Counter]:
        yield FLOATING_IP.read(
            states.code(states.NETWORK, address.get("status"), FLOATING_IP.name),
            resource_id=address["id"],
            project_id=address.get("project_id") or address.get("tenant_id"),
            user_id=address.get("user_id"),
            resource_metadata=pick(address, *FIELDS),
        )
