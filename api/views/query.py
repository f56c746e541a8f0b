"""``/v2/query/samples``: samples by a complex query."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from django.db import DataError
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from api.complex_query import read_complex_query
from api.complex_schema import not_valid
from api.described import Answer
from api.errors import Fault
from api.listing import MOST_AT_ONCE, Listing, streamed, streaming
from api.serializers import SampleSerializer
from api.views.base import LIMIT, ListingView, listing
from metering.models.complex import ComplexQuery, complex_samples
from metering.models.expressions import fitting
from metering.models.originals import ids_given
from metering.models.questions import Question
from metering.models.sample_pages import PLACE, SampleStream

_INVALID_PATTERN = "2201B"  # SQLSTATE of a regular expression that PostgreSQL cannot read
_TOO_MANY = f"More than {MOST_AT_ONCE} samples in an order of their own: narrow the filter, or give a limit"


class QuerySamplesView(ListingView):
    """Samples by a filter of and, or and not."""

    rule = "telemetry:query_sample"
    answers = {"POST": Answer("Sample", is_list=True, body="ComplexQuery", needs_body=False, refusals=(501,))}

    def post(self, request: Request) -> HttpResponseBase:
        """Newest first, unless the query says otherwise."""
        self.arguments()
        query = read_complex_query(request.data, self.caller, 0)
        try:
            return self._found(request, query)
        except DataError as exc:
            if getattr(exc.__cause__, "pgcode", None) != _INVALID_PATTERN:
                raise
            raise not_valid("Filter expression", str(exc).strip().partition("\n")[0]) from exc

    def _found(self, request: Request, query: ComplexQuery) -> HttpResponseBase:
        """A limit of 0 is none: as many as any listing has."""
        form = streaming(request, query.limit or None)
        if form is not None and not query.order:
            stream = SampleStream(self.caller, Question(), partial(fitting, expression=query.expression))
            return streamed(form, Listing(SampleSerializer, stream.page, PLACE), None, query.limit or None)
        most = query.limit or (LIMIT if form is None else MOST_AT_ONCE + 1)
        samples = complex_samples(self.caller, replace(query, limit=min(most, MOST_AT_ONCE + 1)))
        if len(samples) > MOST_AT_ONCE:
            raise Fault(_TOO_MANY)
        if form is not None:
            shown = Listing.whole(SampleSerializer, samples, ids=ids_given(samples))
            return streamed(form, shown, None, None)
        return listing(SampleSerializer, samples, ids=ids_given(samples))
