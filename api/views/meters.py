"""``/v2/meters``: which meters there are, and the samples of one in the form of old."""

from __future__ import annotations

import logging
from functools import partial

from django.conf import settings
from django.http.response import HttpResponseBase
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from api import filters
from api.arguments import read_boolean
from api.described import Answer, rows
from api.errors import Fault, invalid_input
from api.listing import PAGING, Listing
from api.posting import completed, idempotency_key, read_samples
from api.serializers import MeterSerializer, OldSampleSerializer
from api.views.base import ListingView
from api.views.samples import sample_listing
from metering.environment import Environment
from metering.errors import BrokerAway, PostRefused
from metering.models import Series
from metering.models.owners import distinct_page, owner_page
from metering.posting import post

log = logging.getLogger(__name__)

DIRECTLY = ("1", "t", "true", "on", "y", "yes")  # anything else is no: so the original read it
AWAY = (
    "The broker did not confirm the samples; they may be stored all the same. Post them again, "
    "with the same Idempotency-Key to have them once"
)


class MetersView(ListingView):
    """The meters of each resource. With ``unique`` each meter once, whatever the resource."""

    rule = "telemetry:get_meters"
    known = filters.ARGUMENTS | PAGING | {"unique"}
    fields = filters.METER_FIELDS
    answers = rows("Meter")

    def get(self, request: Request) -> HttpResponseBase:
        arguments = self.arguments()
        query = filters.read_query(arguments, self.fields, self.caller)
        unique = arguments.boolean("unique", default=_unique(query))
        found = Series.objects.visible_to(self.caller).matching(query.question)
        read = partial(distinct_page if unique else owner_page, found)
        return self.answer(Listing(MeterSerializer, read, (int,)), arguments)


def _unique(query: filters.Query) -> bool:
    """``unique`` is a field of the query too."""
    text = query.others.get("unique", "false")
    value = read_boolean(text)
    if value is None:
        raise invalid_input("unique", text, "unable to convert to bool")
    return value


class MeterView(ListingView):
    """The samples of one meter, newest first; more of them by POST."""

    rule = "telemetry:get_samples"
    rules = {"POST": "telemetry:create_samples"}
    known = filters.ARGUMENTS | PAGING
    knowns = {"POST": frozenset({"direct"})}
    fields = filters.SAMPLE_FIELDS
    answers = {
        "GET": Answer("OldSample", is_list=True, refusals=(404,)),  # for no meter's name has a slash
        "POST": Answer(
            "AcceptedSample",
            is_list=True,
            status=201,
            body="PostedSamples",
            headers=("Idempotency-Key",),
            refusals=(404,),
        ),
    }

    def get(self, request: Request, name: str) -> HttpResponseBase:
        arguments = self.arguments()
        question = filters.read_query(arguments, self.fields, self.caller).question.of_meter(name)
        return self.answer(sample_listing(OldSampleSerializer, self.caller, question), arguments)

    def post(self, request: Request, name: str) -> Response:
        """Samples of this meter; with ``direct`` they are stored before the answer, else the broker has them."""
        direct = (self.arguments().one("direct") or "").strip().lower() in DIRECTLY
        told: Environment = settings.METERING
        posted, shown = read_samples(request.data, name, self.caller, told.source)
        key = idempotency_key(request, self.caller)
        try:
            accepted = post(posted, told, key=key, direct=direct)
        except PostRefused as exc:
            raise Fault(f"The samples are refused: {exc}") from exc
        except BrokerAway as exc:
            log.error("posted samples were not taken: %s", exc)
            raise Fault(AWAY, status.HTTP_503_SERVICE_UNAVAILABLE) from exc
        answer = [completed(*pair) for pair in zip(shown, accepted, strict=True)]
        return Response(answer, status=status.HTTP_201_CREATED)
