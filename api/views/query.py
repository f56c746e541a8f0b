"""``/v2/query/samples``: samples by a complex query."""

from __future__ import annotations

from django.db import DataError
from rest_framework.request import Request
from rest_framework.response import Response

from api.complex_query import read_complex_query
from api.complex_schema import not_valid
from api.described import Answer
from api.serializers import SampleSerializer
from api.views.base import LIMIT, LedgerView, listing
from metering.models.complex import complex_samples
from metering.models.originals import ids_given

_INVALID_PATTERN = "2201B"  # SQLSTATE of a regular expression that PostgreSQL cannot read


class QuerySamplesView(LedgerView):
    """Samples by a filter of and, or and not."""

    rule = "telemetry:query_sample"
    answers = {"POST": Answer("Sample", is_list=True, body="ComplexQuery", needs_body=False, refusals=(413, 501))}

    def post(self, request: Request) -> Response:
        """Newest first, unless the query says otherwise."""
        self.arguments()
        query = read_complex_query(request.data, self.caller, LIMIT)
        try:
            samples = complex_samples(self.caller, query)
        except DataError as exc:
            if getattr(exc.__cause__, "pgcode", None) != _INVALID_PATTERN:
                raise
            raise not_valid("Filter expression", str(exc).strip().partition("\n")[0]) from exc
        return listing(SampleSerializer, samples, ids=ids_given(samples))
