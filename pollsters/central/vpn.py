"""Neutron's VPN services and their IPsec connections. A cloud whose neutron has no such extension has none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.central import states
from pollsters.central.service import ServicePollster, pick, where_there
from pollsters.runner import Place

VPN = Meter("network.services.vpn", Kind.GAUGE, "vpnservice")
CONNECTION = Meter("network.services.vpn.connections", Kind.GAUGE, "ipsec_site_connection")
VPN_FIELDS = (
    "description", "name", "status", "subnet_id", "router_id", "flavor_id", "external_v4_ip", "external_v6_ip",
)  # fmt: skip
# What is not named is not kept: above all psk, the connection's secret.
CONNECTION_FIELDS = (
    "name", "description", "peer_address", "peer_id", "peer_cidrs", "peer_ep_group_id", "initiator", "ikepolicy_id",
    "ipsecpolicy_id", "vpnservice_id", "mtu", "status", "project_id",
)  # fmt: skip


class VPNPollster(ServicePollster):
    """The volume is the number of its state: 1 active, 3 down."""

    meters = (VPN,)
    service = "network"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        return where_there(self.clouds.entries(place, "v2.0/vpn/vpnservices", "vpnservices", {"limit": "1000"}))

    def counters(self, service: dict[str, Any]) -> Iterator[Counter]:
        yield VPN.read(
            states.code(states.NETWORK, service.get("status"), VPN.name),
            resource_id=service["id"],
            project_id=service.get("project_id") or service.get("tenant_id"),
            resource_metadata={
                **pick(service, *VPN_FIELDS),
                "is_admin_state_up": service.get("admin_state_up"),
            },
        )


class VPNConnectionPollster(ServicePollster):
    """1 for each that there is."""

    meters = (CONNECTION,)
    service = "network"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        path, key = "v2.0/vpn/ipsec-site-connections", "ipsec_site_connections"
        return where_there(self.clouds.entries(place, path, key, {"limit": "1000"}))

    def counters(self, connection: dict[str, Any]) -> Iterator[Counter]:
        yield CONNECTION.read(
            1,
            resource_id=connection["id"],
            project_id=connection.get("project_id") or connection.get("tenant_id"),
            resource_metadata={
                **pick(connection, *CONNECTION_FIELDS),
                "is_admin_state_up": connection.get("admin_state_up"),
            },
        )
