"""Every route of the API, and what each of four callers gets of what `fill` stores. A new route needs a row here.

The four: anonymous; of another project; of the project (red) that everything stored belongs to; an admin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.urls import URLPattern

from api.urls import urlpatterns
from metering.models import Sample
from tests import events
from tests.factories import reading, store

METHODS = ("get", "post", "put", "patch", "delete")


class Sees(Enum):
    """Who gets what."""

    ROWS = "a list: its project and admins get the rows, another project none"
    ROW = "one thing: another project gets a 404"
    TAKEN = "something given of its project: taken from it and from admins, another project gets a 400"
    ADMINS = "admins get it, any other token a 401"
    FIGURE = "a figure: its project and admins get it, another project null"
    OWN = "a list: admins get the rows, anybody else only what is himself, which is not there"
    HOLDERS = "every token gets the same"
    EVERYBODY = "also without a token"


@dataclass(frozen=True)
class Route:
    """A route and method. ``path`` is of what `fill` stored; ``within`` is where the rows are in the answer.

    A path with a query says where the slash at its end may stand.
    """

    name: str  # of the URL
    path: str
    sees: Sees
    method: str = "GET"
    body: Any = None
    within: str = ""
    status: int = 200  # of those who get it
    takes_project: bool = False  # as q.field: another one's may not be named

    def address(self, names: Mapping[str, str], slash: str = "") -> str:
        path = self.path if "{slash}" in self.path or self.path.endswith("/") else self.path + "{slash}"
        return path.format(**names, slash=slash)


SAMPLE = {
    "counter_name": "apples",
    "counter_type": "gauge",
    "counter_unit": "apple",
    "counter_volume": 1,
    "resource_id": "basket",
    "project_id": "red",
    "user_id": "ruth",
}
MONTH = "&".join(f"q.field=timestamp&q.op={op}&q.value=2026-{month}-01" for op, month in (("ge", 11), ("lt", 12)))
TABLE = (
    Route("versions", "/", Sees.EVERYBODY),
    Route("meters", "/v2/meters", Sees.ROWS, takes_project=True),
    Route("meter", "/v2/meters/cpu", Sees.ROWS, takes_project=True),
    Route("meter", "/v2/meters/apples{slash}?direct=True", Sees.TAKEN, "POST", [SAMPLE], status=201),
    Route("statistics", "/v2/meters/cpu/statistics", Sees.ROWS, takes_project=True),
    Route("samples", "/v2/samples", Sees.ROWS, takes_project=True),
    Route("sample", "/v2/samples/{sample}", Sees.ROW),
    Route("verification", "/v2/samples/{sample}/verification", Sees.ROW),
    Route("resources", "/v2/resources", Sees.ROWS, takes_project=True),
    Route("resource", "/v2/resources/web-1", Sees.ROW),
    Route("query_samples", "/v2/query/samples", Sees.ROWS, "POST", {"limit": 5}),
    Route("capabilities", "/v2/capabilities", Sees.HOLDERS),
    *(Route("alarms", "/v2/alarms/x", Sees.HOLDERS, method, status=410) for method in map(str.upper, METHODS)),
    Route("events", "/v2/events", Sees.ROWS),
    Route("event", "/v2/events/{event}", Sees.ROW),
    Route("usage", f"/v2/usage{{slash}}?{MONTH}", Sees.ROWS),
    Route("polls", "/v2/polls", Sees.ADMINS),
    Route("event_types", "/v2/event_types", Sees.ADMINS),
    Route("event_traits", "/v2/event_types/volume.create.end/traits", Sees.ADMINS),
    Route("openapi", "/v2/openapi.json", Sees.EVERYBODY),
    Route("docs", "/v2/docs", Sees.EVERYBODY),
    Route("event_trait", "/v2/event_types/volume.create.end/traits/resource_id", Sees.ADMINS),
)
_V1 = (
    Route("v1_resources", "/v1/resources", Sees.ROWS, within="resources"),
    Route("v1_resources_of", "/v1/users/ruth/resources", Sees.ROWS, within="resources"),
    Route("v1_meters", "/v1/meters", Sees.ROWS, within="meters"),
    Route("v1_meters_of", "/v1/sources/openstack/meters", Sees.ROWS, within="meters"),
    Route("v1_samples", "/v1/resources/web-1/meters/cpu", Sees.ROWS, within="events"),
    Route("v1_duration", "/v1/resources/web-1/meters/cpu/duration", Sees.FIGURE, within="duration"),
    Route("v1_volume", "/v1/resources/web-1/meters/cpu/volume/max", Sees.FIGURE, within="volume"),
    Route("v1_users", "/v1/users", Sees.OWN, within="users"),
    Route("v1_users_of", "/v1/sources/openstack/users", Sees.OWN, within="users"),
    Route("v1_projects", "/v1/projects", Sees.ROWS, within="projects"),
    Route("v1_projects_of", "/v1/sources/openstack/projects", Sees.ROWS, within="projects"),
    Route("v1_source", "/v1/sources/openstack", Sees.HOLDERS),
)
TABLE += _V1
UNDESCRIBED = ("openapi", "docs", "alarms")  # itself, and what is not here; nor is what begins with v1
NOWHERE = None  # the name of the answer to any other address


def fill() -> dict[str, str]:
    """One sample and one event of the project red; the names that paths need."""
    store(reading(metadata={"display_name": "<script>"}))
    events.store(events.event(1, user_id="user of red"))
    return {"sample": str(Sample.objects.get().message_id), "event": events.ID.format(1)}


def missing() -> Iterator[tuple[str | None, str]]:
    """The routes and methods that `TABLE` does not have."""
    known = {(route.name, route.method) for route in TABLE}
    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern), f"{pattern}: routes of an include would not be walked"
        if pattern.name is NOWHERE:
            continue
        view: type[Any] = getattr(pattern.callback, "view_class", type(None))
        for method in METHODS:
            if hasattr(view, method) and (pattern.name, method.upper()) not in known:
                yield pattern.name, method.upper()
