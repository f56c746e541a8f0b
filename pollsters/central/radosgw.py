"""A RADOS gateway, by its admin API: what each project's buckets hold, and how often it was asked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from metering.counters import Counter, Kind, Meter
from metering.environment import Environment
from metering.errors import PollError
from metering.plugins import Option
from pollsters.central import s3_signature
from pollsters.central.service import OPTIONS, Clouds, ProjectPollster, number, read_each, where_there
from pollsters.runner import Place

OBJECTS = Meter("radosgw.objects", Kind.GAUGE, "object")
OBJECTS_SIZE = Meter("radosgw.objects.size", Kind.GAUGE, "B")
CONTAINERS = Meter("radosgw.objects.containers", Kind.GAUGE, "object")
CONTAINER_OBJECTS = Meter("radosgw.containers.objects", Kind.GAUGE, "object")
CONTAINER_SIZE = Meter("radosgw.containers.objects.size", Kind.GAUGE, "B")
REQUESTS = Meter("radosgw.api.request", Kind.GAUGE, "request")

SERVICE, ACCESS, SECRET = "METERING_RADOSGW_SERVICE", "METERING_RADOSGW_ACCESS_KEY", "METERING_RADOSGW_SECRET_KEY"
TENANTS = "METERING_RADOSGW_TENANTS"


class RadosGWPollster(ProjectPollster):
    """Asks as a gateway's admin user: its keys take the place of a token."""

    options = (
        *OPTIONS,
        Option(SERVICE, "object-store", "the gateway's service type in the catalogue"),
        Option(ACCESS, "", "access key of a gateway user with the capabilities buckets=read, usage=read"),
        Option(SECRET, "", "its secret key"),
        Option(TENANTS, "0", "1 where the gateway has rgw_keystone_implicit_tenants"),
    )

    def __init__(self, values: Mapping[str, str], clouds: Clouds | None = None) -> None:
        super().__init__(values, clouds)
        self._access, self._secret = values[ACCESS], values[SECRET]
        self._tenants = values[TENANTS] == "1"

    def enabled(self, settings: Environment) -> str | None:
        missing = [name for name, value in ((ACCESS, self._access), (SECRET, self._secret)) if not value]
        return super().enabled(settings) or (f"{' and '.join(missing)} not set" if missing else None)

    def places(self) -> Iterable[Place]:
        return self.clouds.project_places(self._values[SERVICE])

    def of_project(self, place: Place, project: str) -> Iterator[Counter]:
        return where_there(self.usage(place, project))  # a project that never came has no user at the gateway

    @abstractmethod
    def usage(self, place: Place, project: str) -> Iterator[Counter]:
        """What is read of a project that the gateway knows."""

    def _admin(self, place: Place, project: str, path: str, **query: str) -> Any:
        parts = urlsplit(self.clouds.endpoint(replace(place, project=None)))
        uid = f"{project}${project}" if self._tenants else project
        url = f"{parts.scheme}://{parts.netloc}/admin/{path}"
        return self.clouds.get_signed(place, url, self._sign, {**query, "uid": uid, "format": "json"})

    def _sign(self, url: str) -> Mapping[str, str]:
        return s3_signature.headers("GET", url, self._access, self._secret, datetime.now(UTC))


class BucketPollster(RadosGWPollster):
    """Each bucket of the project, and their sums."""

    meters = (OBJECTS, OBJECTS_SIZE, CONTAINERS, CONTAINER_OBJECTS, CONTAINER_SIZE)

    def usage(self, place: Place, project: str) -> Iterator[Counter]:
        buckets = self._admin(place, project, "bucket", stats="true")
        if not isinstance(buckets, list) or not all(isinstance(bucket, dict) for bucket in buckets):
            raise PollError(f"{place}: its answer is no list of buckets")
        total = {"num_objects": 0.0, "size_kb": 0.0}

        def counters(bucket: dict[str, Any]) -> Iterator[Counter]:
            name, objects, kib = bucket["bucket"], _sum(bucket, "num_objects"), _sum(bucket, "size_kb")
            total["num_objects"] += objects
            total["size_kb"] += kib
            about: dict[str, Any] = {"resource_id": f"{project}/{name}", "project_id": project}
            yield CONTAINER_OBJECTS.read(objects, **about)
            yield CONTAINER_SIZE.read(kib * 1024, **about)

        yield from read_each(buckets, counters)  # raises at the end for a bad one: then there are no sums
        yield OBJECTS.read(total["num_objects"], resource_id=project, project_id=project)
        yield OBJECTS_SIZE.read(total["size_kb"] * 1024, resource_id=project, project_id=project)
        yield CONTAINERS.read(len(buckets), resource_id=project, project_id=project)


class UsagePollster(RadosGWPollster):
    """Requests that the gateway has logged for the project, ever since its log was last trimmed."""

    meters = (REQUESTS,)

    def usage(self, place: Place, project: str) -> Iterator[Counter]:
        answer = self._admin(place, project, "usage")
        try:
            requests = sum(number(summary["total"]["ops"]) for summary in answer["summary"])
        except (KeyError, TypeError, ValueError) as exc:
            raise PollError(f"{place}: its answer is no summary of usage") from exc
        yield REQUESTS.read(requests, resource_id=project, project_id=project)


def _sum(bucket: dict[str, Any], name: str) -> float:
    """Over the bucket's categories; an empty bucket has none."""
    return sum(number(category[name]) for category in bucket["usage"].values())
