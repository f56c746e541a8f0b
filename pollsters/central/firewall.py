"""Neutron's firewall groups and policies (FWaaS v2). A cloud whose neutron has no such extension has none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.central import states
from pollsters.central.service import ServicePollster, pick, where_there
from pollsters.runner import Place

FIREWALL = Meter("network.services.firewall", Kind.GAUGE, "firewall")
POLICY = Meter("network.services.firewall.policy", Kind.GAUGE, "firewall_policy")
FIREWALL_FIELDS = (
    "admin_state_up", "description", "name", "status", "ingress_firewall_policy_id", "egress_firewall_policy_id",
)  # fmt: skip
POLICY_FIELDS = ("name", "description", "firewall_rules", "shared", "audited")


class FirewallPollster(ServicePollster):
    """The volume is the number of its state: 1 active, 0 inactive."""

    meters = (FIREWALL,)
    service = "network"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        path = "v2.0/fwaas/firewall_groups"
        return where_there(self.clouds.entries(place, path, "firewall_groups", {"limit": "1000"}))

    def counters(self, group: dict[str, Any]) -> Iterator[Counter]:
        yield FIREWALL.read(
            states.code(states.NETWORK, group.get("status"), FIREWALL.name),
            resource_id=group["id"],
            project_id=group.get("project_id") or group.get("tenant_id"),
            resource_metadata=pick(group, *FIREWALL_FIELDS),
        )


class FirewallPolicyPollster(ServicePollster):
    """1 for each that there is."""

    meters = (POLICY,)
    service = "network"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        path = "v2.0/fwaas/firewall_policies"
        return where_there(self.clouds.entries(place, path, "firewall_policies", {"limit": "1000"}))

    def counters(self, policy: dict[str, Any]) -> Iterator[Counter]:
        yield POLICY.read(
            1,
            resource_id=policy["id"],
            project_id=policy.get("project_id") or policy.get("tenant_id"),
            resource_metadata=pick(policy, *POLICY_FIELDS),
        )
