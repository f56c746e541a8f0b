"""Designate's zones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metering.counters import Counter, Kind, Meter
from metering.errors import PollError
from pollsters.central import states
from pollsters.central.service import Clouds, RegionPollster, ServicePollster, number, pick, read_each, where_there
from pollsters.runner import Place

STATUS = Meter("dns.zone.status", Kind.GAUGE, "status")
RECORDSETS = Meter("dns.zone.recordsets", Kind.GAUGE, "recordset")
TTL = Meter("dns.zone.ttl", Kind.GAUGE, "second")
SERIAL = Meter("dns.zone.serial", Kind.GAUGE, "serial")
FIELDS = ("name", "email", "ttl", "description", "type", "status", "action", "serial", "pool_id")
EVERYBODYS = {"X-Auth-All-Projects": "true"}


def zones(clouds: Clouds, place: Place) -> Iterator[dict[str, Any]]:
    """Every project's zones."""
    return clouds.entries(place, "v2/zones", "zones", {"limit": "1000"}, EVERYBODYS)


def about(zone: dict[str, Any]) -> dict[str, Any]:
    """Whose and of what every reading of a zone is."""
    return {
        "resource_id": zone["id"],
        "project_id": zone["project_id"],
        "resource_metadata": pick(zone, *FIELDS),
    }


class ZonePollster(ServicePollster):
    """What the list of zones tells of each."""

    meters = (STATUS, TTL, SERIAL)
    service = "dns"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        return zones(self.clouds, place)

    def counters(self, zone: dict[str, Any]) -> Iterator[Counter]:
        yield STATUS.read(states.code(states.ZONE, zone.get("status"), STATUS.name), **about(zone))
        yield TTL.read(number(zone.get("ttl") or 0), **about(zone))
        yield SERIAL.read(number(zone.get("serial") or 0), **about(zone))


class RecordSetPollster(RegionPollster):
    """How many record sets each zone has: a call for each zone, for their number only."""

    meters = (RECORDSETS,)
    service = "dns"

    def poll(self, place: Place) -> Iterator[Counter]:
        def counters(zone: dict[str, Any]) -> Iterator[Counter]:
            return where_there(self._counted(place, zone))  # one that was deleted meanwhile has none

        return read_each(zones(self.clouds, place), counters)

    def _counted(self, place: Place, zone: dict[str, Any]) -> Iterator[Counter]:
        body = self.clouds.get(place, f"v2/zones/{zone['id']}/recordsets", {"limit": "1"}, EVERYBODYS)
        try:
            total = number(body["metadata"]["total_count"])
        except (KeyError, TypeError, ValueError) as exc:
            raise PollError("its answer has no metadata.total_count") from exc
        yield RECORDSETS.read(total, **about(zone))
