"""What neutron keeps for its users: that a network, port, router … is there, was made, changed or deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from collector.notification import Notification
from collector.payload import mapping, resource, text, without_secrets
from metering.counters import Counter, Kind, Metadata, Meter
from metering.errors import BadReading

CHANGES = ("create", "update", "delete")


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of resource: what neutron calls one, and its meters. That it is there, and what was done to it."""

    name: str
    there: Meter
    changed: Mapping[str, Meter] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, meter: str | None = None, unit: str | None = None) -> Resource:
        meter, unit = meter or name, unit or name
        changed = {change: Meter(f"{meter}.{change}", Kind.DELTA, unit) for change in CHANGES}
        return cls(name, Meter(meter, Kind.GAUGE, unit), changed)

    @property
    def event_types(self) -> tuple[str, ...]:
        # Of a deletion only its end: it tells no more than its start, and what has begun may fail.
        return tuple(f"{self.name}.{what}" for what in ("create.end", "update.*", "delete.end", "exists"))


class NetworkListener:
    """Each of its resources as 1, when something is said of it, and as 1 of what was done to it.

    Silence says nothing: a deletion closes the resource with a last sample, at the moment until which it was there.
    """

    exchange = "neutron"

    def __init__(self, *resources: Resource) -> None:
        self._resources = {resource.name: resource for resource in resources}
        self.meters = tuple(meter for kind in resources for meter in (kind.there, *kind.changed.values()))
        self.event_types = tuple(event_type for kind in resources for event_type in kind.event_types)

    def counters(self, notification: Notification) -> Iterator[Counter | BadReading]:
        name, what = notification.event_type.split(".")[:2]
        kind = self._resources[name]
        meters = (kind.there, kind.changed[what]) if what in kind.changed else (kind.there,)
        told = _told(name, mapping(notification.payload, "its payload"))
        for number, one in enumerate(told, 1):
            try:
                about = _about(name, one, notification)
            except ValueError as exc:
                if len(told) == 1:
                    raise
                yield BadReading(f"{number} of {len(told)}: {exc}")
                continue
            yield from (meter.read(1, **about) for meter in meters)


def _told(name: str, payload: Mapping[str, Any]) -> list[Any]:
    """The resources that a payload is about: of a creation in bulk a list, of a deletion mostly an id alone."""
    for bulk in (f"{name}s", f"{name[:-1]}ies"):
        if isinstance(payload.get(bulk), list):
            return list(payload[bulk])
    inner = payload.get(name, {})
    named = payload.get("id") or payload.get(f"{name}_id")
    if isinstance(inner, dict) and named and not inner.get("id"):
        inner = {**inner, "id": named}  # a change that begins tells what will change, and of what beside it
    return [inner]


def _about(name: str, one: Any, notification: Notification) -> dict[str, Any]:
    told = mapping(one, name)
    about = {"event_type": notification.event_type, "host": notification.publisher_id}
    owner = text(told.get("project_id"), "project_id") or text(told.get("tenant_id"), "tenant_id")
    return {
        "resource_id": resource(told.get("id"), f"id of a {name}"),
        "project_id": owner or notification.project_id,  # an administrator may act for somebody
        "user_id": notification.user_id,
        "timestamp": notification.timestamp,
        "origin": notification.message_id,
        # A connection's psk would let one into the network.
        "resource_metadata": Metadata({**without_secrets(told), **about}),
    }


def networks() -> NetworkListener:
    """Networks and what they are made of."""
    kinds = (Resource.of(name) for name in ("network", "subnet", "port", "router"))
    return NetworkListener(*kinds, Resource.of("floatingip", "ip.floating", "ip"))


def load_balancing() -> NetworkListener:
    """The load balancers that neutron had before octavia."""
    names = ("pool", "vip", "member", "health_monitor")
    return NetworkListener(*(Resource.of(name, f"network.services.lb.{name}") for name in names))


def firewalls() -> NetworkListener:
    """Firewalls, their policies and rules."""
    return NetworkListener(
        Resource.of("firewall", "network.services.firewall"),
        Resource.of("firewall_policy", "network.services.firewall.policy"),
        Resource.of("firewall_rule", "network.services.firewall.rule"),
    )


def vpns() -> NetworkListener:
    """Virtual private networks."""
    return NetworkListener(
        Resource.of("vpnservice", "network.services.vpn"),
        Resource.of("ipsecpolicy", "network.services.vpn.ipsecpolicy"),
        Resource.of("ikepolicy", "network.services.vpn.ikepolicy"),
        Resource.of("ipsec_site_connection", "network.services.vpn.connections"),
    )
