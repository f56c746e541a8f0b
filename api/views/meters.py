"""``/v2/meters``: which meters there are, and the samples of one in the form of old."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from api import filters
from api.arguments import read_boolean
from api.errors import invalid_input
from api.serializers import MeterSerializer, OldSampleSerializer
from api.views.base import LIMIT, LedgerView, listing
from metering.models import Series
from metering.models.newest import newest_samples
from metering.models.originals import ids_given
from metering.models.owners import latest_owners


class MetersView(LedgerView):
    """The meters of each resource. With ``unique`` each meter once, whatever the resource."""

    rule = "telemetry:get_meters"
    known = filters.ARGUMENTS | {"limit", "unique"}

    def get(self, request: Request) -> Response:
        arguments = self.arguments()
        query = filters.read_query(arguments, filters.METER_FIELDS, self.caller)
        limit = arguments.limit(LIMIT)
        unique = arguments.boolean("unique", default=_unique(query))
        found = Series.objects.visible_to(self.caller).matching(query.question)
        if unique:
            nobody = dict.fromkeys(("resource_id", "project_id", "user_id", "source"))
            rows = [{**nobody, **row} for row in found.distinct_meters()[:limit]]
            return listing(MeterSerializer, rows)
        return listing(MeterSerializer, latest_owners(found, limit))


def _unique(query: filters.Query) -> bool:
    """``unique`` is a field of the query too."""
    text = query.others.get("unique", "false")
    value = read_boolean(text)
    if value is None:
        raise invalid_input("unique", text, "unable to convert to bool")
    return value


class MeterView(LedgerView):
    """The samples of one meter, newest first."""

    rule = "telemetry:get_samples"
    known = filters.ARGUMENTS | {"limit"}

    def get(self, request: Request, name: str) -> Response:
        arguments = self.arguments()
        question = filters.read_query(arguments, filters.SAMPLE_FIELDS, self.caller).question.of_meter(name)
        samples = newest_samples(self.caller, question, arguments.limit(LIMIT))
        return listing(OldSampleSerializer, samples, ids=ids_given(samples))
