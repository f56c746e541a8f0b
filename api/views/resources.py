"""``/v2/resources``: what is metered."""

from __future__ import annotations

from functools import partial

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api import filters
from api.described import one, rows
from api.errors import missing
from api.listing import PAGING, Listing
from api.serializers import ResourceSerializer
from api.views.base import LedgerView, ListingView, base_url
from metering.models.seen import resource_page, resource_seen


class ResourcesView(ListingView):
    """Resources, with the owner and metadata of their latest sample; of a window of time, as they were then."""

    rule = "telemetry:get_resources"
    known = filters.ARGUMENTS | PAGING | {"meter_links"}
    fields = filters.RESOURCE_FIELDS
    answers = rows("Resource")

    def get(self, request: Request) -> HttpResponseBase:
        arguments = self.arguments()
        query = filters.read_query(arguments, self.fields, self.caller)
        links = arguments.integer("meter_links", 1) != 0
        context = {"base": base_url(request), "meter_links": links}
        read = partial(resource_page, self.caller, query.question, meters=links)
        return self.answer(Listing(ResourceSerializer, read, (int,), lambda rows: context), arguments)


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
