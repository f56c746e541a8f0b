"""``/v2/meters``: which meters there are, and the samples of one in the form of old."""

from __future__ import annotations

import logging

from django.conf import settings
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from api import filters
from api.arguments import read_boolean
from api.described import Answer, rows
from api.errors import Fault, invalid_input
from api.posting import completed, idempotency_key, read_samples
from api.serializers import MeterSerializer, OldSampleSerializer
from api.views.base import LIMIT, LedgerView, listing
from metering.environment import Environment
from metering.errors import BrokerAway, PostRefused
from metering.models import Series
from metering.models.newest import newest_samples
from metering.models.originals import ids_given
from metering.models.owners import latest_owners
from metering.posting import post

log = logging.getLogger(__name__)

DIRECTLY = ("1", "t", "true", "on", "y", "yes")  # anything else is no: so the original read it
AWAY = (
    "The broker did not confirm the samples; they may be stored all the same. Post them again, "
    "with the same Idempotency-Key to have them once"
)


class MetersView(LedgerView):
    """The meters of each resource. With ``unique`` each meter once, whatever the resource."""

    rule = "telemetry:get_meters"
    known = filters.ARGUMENTS | {"limit", "unique"}
    fields = filters.METER_FIELDS
    answers = rows("Meter")

    def get(self, request: Request) -> Response:
        arguments = self.arguments()
        query = filters.read_query(arguments, self.fields, self.caller)
        limit = arguments.limit(LIMIT)
        unique = arguments.boolean("unique", default=_unique(query))
        found = Series.objects.visible_to(self.caller).matching(query.question)
        if unique:
            nobody = dict.fromkeys(("resource_id", "project_id", "user_id", "source"))
            meters = [{**nobody, **row} for row in found.distinct_meters()[:limit]]
            return listing(MeterSerializer, meters)
        return listing(MeterSerializer, latest_owners(found, limit))


def _unique(query: filters.Query) -> bool:
    """``unique`` is a field of the query too."""
    text = query.others.get("unique", "false")
    value = read_boolean(text)
    if value is None:
        raise invalid_input("unique", text, "unable to convert to bool")
    return value


class MeterView(LedgerView):
    """The samples of one meter, newest first; more of them by POST."""

    rule = "telemetry:get_samples"
    rules = {"POST": "telemetry:create_samples"}
    known = filters.ARGUMENTS | {"limit"}
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
            refusals=(404, 413),
        ),
    }

    def get(self, request: Request, name: str) -> Response:
        arguments = self.arguments()
        question = filters.read_query(arguments, self.fields, self.caller).question.of_meter(name)
        samples = newest_samples(self.caller, question, arguments.limit(LIMIT))
        return listing(OldSampleSerializer, samples, ids=ids_given(samples))

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
