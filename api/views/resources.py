"""``/v2/resources``: what is metered."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from api import filters
from api.described import one, rows
from api.errors import missing
from api.serializers import ResourceSerializer
from api.views.base import LIMIT, LedgerView, base_url, listing
from metering.models.seen import resource_seen, resources_seen


class ResourcesView(LedgerView):
    """Resources, with the owner and metadata of their latest sample; of a window of time, as they were then."""

    rule = "telemetry:get_resources"
    known = filters.ARGUMENTS | {"limit", "meter_links"}
    fields = filters.RESOURCE_FIELDS
    answers = rows("Resource")

    def get(self, request: Request) -> Response:
        arguments = self.arguments()
        query = filters.read_query(arguments, self.fields, self.caller)
        limit = arguments.limit(LIMIT)
        links = arguments.integer("meter_links", 1) != 0
        seen = resources_seen(self.caller, query.question, limit, meters=links)
        return listing(ResourceSerializer, seen, base=base_url(request), meter_links=links)


class ResourceView(LedgerView):
    """One resource. Its id may hold slashes."""

    rule = "telemetry:get_resource"
    answers = one("Resource")

    def get(self, request: Request, resource_id: str) -> Response:
        self.arguments()
        seen = resource_seen(self.caller, resource_id)
        if seen is None:
            raise missing("Resource", resource_id)
        return Response(ResourceSerializer(seen, context={"base": base_url(request), "meter_links": True}).data)
