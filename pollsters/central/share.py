"""Manila's shares: size and state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.central import states
from pollsters.central.paging import by_offset
from pollsters.central.service import ServicePollster, number, pick
from pollsters.runner import Place

SIZE = Meter("manila.share.size", Kind.GAUGE, "GiB")
STATUS = Meter("manila.share.status", Kind.GAUGE, "status")
FIELDS = ("name", "availability_zone", "share_type", "share_network_id", "status", "host", "is_public")
EVERYBODYS = {"all_tenants": "1", "limit": "1000"}
VERSION = {"X-OpenStack-Manila-API-Version": "2.16"}  # from which on a share names its user; Newton and later have it


class SharePollster(ServicePollster):
    """Every project's shares."""

    meters = (SIZE, STATUS)
    service = "shared-file-system"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        return self.clouds.entries(place, "shares/detail", "shares", EVERYBODYS, VERSION, turn=by_offset)

    def counters(self, share: dict[str, Any]) -> Iterator[Counter]:
        about: dict[str, Any] = {
            "resource_id": share["id"],
            "project_id": share["project_id"],
            "user_id": share.get("user_id"),
            "resource_metadata": {**pick(share, *FIELDS), "protocol": share.get("share_proto")},
        }
        yield SIZE.read(number(share["size"]), **about)
        yield STATUS.read(states.code(states.SHARE, share.get("status"), STATUS.name), **about)
