"""Swift: what each project's account holds, and each container of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metering.counters import Counter, Kind, Meter
from metering.errors import PollError
from pollsters.central.paging import by_name
from pollsters.central.service import ProjectPollster, number, read_each, where_there
from pollsters.runner import Place

OBJECTS = Meter("storage.objects", Kind.GAUGE, "object")
OBJECTS_SIZE = Meter("storage.objects.size", Kind.GAUGE, "B")
CONTAINERS = Meter("storage.objects.containers", Kind.GAUGE, "container")
CONTAINER_OBJECTS = Meter("storage.containers.objects", Kind.GAUGE, "object")
CONTAINER_SIZE = Meter("storage.containers.objects.size", Kind.GAUGE, "B")
HEADER_OF = {
    OBJECTS: "X-Account-Object-Count",
    OBJECTS_SIZE: "X-Account-Bytes-Used",
    CONTAINERS: "X-Account-Container-Count",
}


class AccountPollster(ProjectPollster):
    """Totals of the account, as swift keeps them. A project that never stored anything has no account."""

    meters = tuple(HEADER_OF)
    service = "object-store"

    def of_project(self, place: Place, project: str) -> Iterator[Counter]:
        return where_there(self._totals(place, project))

    def _totals(self, place: Place, project: str) -> Iterator[Counter]:
        headers = self.clouds.head(place, "")
        for meter, name in HEADER_OF.items():
            if not headers.get(name, "").isdecimal():
                raise PollError(f"{place}: the account has no number in {name}")
            yield meter.read(int(headers[name]), resource_id=project, project_id=project)


class ContainerPollster(ProjectPollster):
    """Each container of the account."""

    meters = (CONTAINER_OBJECTS, CONTAINER_SIZE)
    service = "object-store"

    def of_project(self, place: Place, project: str) -> Iterator[Counter]:
        listed = self.clouds.entries(place, "", None, {"format": "json"}, turn=by_name, identity=("name",))

        def counters(container: dict[str, Any]) -> Iterator[Counter]:
            policy = container.get("storage_policy")
            about: dict[str, Any] = {
                "resource_id": f"{project}/{container['name']}",
                "project_id": project,
                "resource_metadata": {"storage_policy": policy} if policy else {},
            }
            yield CONTAINER_OBJECTS.read(number(container["count"]), **about)
            yield CONTAINER_SIZE.read(number(container["bytes"]), **about)

        return where_there(read_each(listed, counters))
