"""Where everything is. Each address answers with and without a slash at its end, and redirects nowhere."""

from __future__ import annotations

from django.urls import URLPattern, re_path
from rest_framework.views import APIView

from api.views.alarms import AlarmsView
from api.views.capabilities import CapabilitiesView
from api.views.description import DocsView, OpenAPIView
from api.views.events import EventsView, EventTypesView, EventTypeTraitsView, EventTypeTraitView, EventView
from api.views.meters import MetersView, MeterView
from api.views.polls import PollsView
from api.views.query import QuerySamplesView
from api.views.resources import ResourcesView, ResourceView
from api.views.root import NothingHere, VersionsView
from api.views.samples import SamplesView, SampleView, VerificationView
from api.views.statistics import StatisticsView
from api.views.usage import UsageView
from api.views.v1 import (
    V1DurationView,
    V1MetersView,
    V1OwnersView,
    V1ResourcesView,
    V1SamplesView,
    V1SourceView,
    V1UsersView,
    V1VolumeView,
)

METER = r"(?P<name>[^/]+)"  # any character but a slash


def _v2(address: str, view: type[APIView], name: str) -> URLPattern:
    return re_path(rf"^v2/{address}/?\Z", view.as_view(), name=name)


def _v1(address: str, view: type[APIView], name: str) -> URLPattern:
    return re_path(rf"^v1/{address}/?\Z", view.as_view(), name=f"v1_{name}")


OF_ANY = r"(?P<kind>resources|projects|users|sources)/(?P<of>[^/]+)"
V1_METER = r"meters/(?P<meter>[^/]+)"
V1 = [
    _v1("resources", V1ResourcesView, "resources"),
    _v1("(?P<kind>projects|users|sources)/(?P<of>[^/]+)/resources", V1ResourcesView, "resources_of"),
    _v1("meters", V1MetersView, "meters"),
    _v1(f"{OF_ANY}/meters", V1MetersView, "meters_of"),
    _v1(f"{OF_ANY}/{V1_METER}", V1SamplesView, "samples"),
    _v1(f"(?P<kind>resources)/(?P<of>[^/]+)/{V1_METER}/duration", V1DurationView, "duration"),
    _v1(f"(?P<kind>resources|projects)/(?P<of>[^/]+)/{V1_METER}/volume/(?P<function>max|sum)", V1VolumeView, "volume"),
    _v1("users", V1UsersView, "users"),
    _v1("(?P<kind>sources)/(?P<of>[^/]+)/users", V1UsersView, "users_of"),
    _v1("projects", V1OwnersView, "projects"),
    _v1("(?P<kind>sources)/(?P<of>[^/]+)/projects", V1OwnersView, "projects_of"),
    _v1("sources/(?P<of>[^/]+)", V1SourceView, "source"),
]
urlpatterns = [
    re_path(r"^\Z", VersionsView.as_view(), name="versions"),
    _v2("meters", MetersView, "meters"),
    _v2(f"meters/{METER}", MeterView, "meter"),
    _v2(f"meters/{METER}/statistics", StatisticsView, "statistics"),
    _v2("samples", SamplesView, "samples"),
    _v2("samples/(?P<message_id>[^/]+)", SampleView, "sample"),
    _v2("samples/(?P<message_id>[^/]+)/verification", VerificationView, "verification"),
    _v2("resources", ResourcesView, "resources"),
    _v2(r"resources/(?P<resource_id>(?s:.+?))", ResourceView, "resource"),
    _v2("query/samples", QuerySamplesView, "query_samples"),
    _v2("events", EventsView, "events"),
    _v2("events/(?P<message_id>[^/]+)", EventView, "event"),
    _v2("event_types", EventTypesView, "event_types"),
    _v2("event_types/(?P<event_type>[^/]+)/traits", EventTypeTraitsView, "event_traits"),
    _v2("event_types/(?P<event_type>[^/]+)/traits/(?P<trait>[^/]+)", EventTypeTraitView, "event_trait"),
    _v2("capabilities", CapabilitiesView, "capabilities"),
    _v2(r"(?:query/)?alarms(?:/[\s\S]*)?", AlarmsView, "alarms"),
    _v2("usage", UsageView, "usage"),
    _v2("polls", PollsView, "polls"),
    *V1,
    _v2(r"openapi\.json", OpenAPIView, "openapi"),
    _v2("docs", DocsView, "docs"),
    re_path(r"", NothingHere.as_view()),
]
