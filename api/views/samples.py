"""``/v2/samples``: samples of any meter, newest first, and one by its id."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api import filters
from api.described import one, rows
from api.errors import missing
from api.listing import PAGING, Listing
from api.rows import RowsOfOneForm
from api.serializers import SampleSerializer, VerificationSerializer
from api.views.base import LedgerView, ListingView
from metering.identity import stored_id
from metering.models import Caller, Sample
from metering.models.originals import ids_given
from metering.models.questions import Question
from metering.models.sample_pages import PLACE, SampleStream, sample_page
from metering.verifying import verify


def sample_listing(serializer: type[RowsOfOneForm[Any]], caller: Caller, question: Question) -> Listing:
    """The samples asked for, newest first."""
    return Listing(
        serializer,
        partial(sample_page, caller, question),
        PLACE,
        streamed=lambda: Listing(serializer, SampleStream(caller, question).page, PLACE),
    )


class SamplesView(ListingView):
    """Samples, newest first."""

    rule = "telemetry:get_samples"
    known = filters.ARGUMENTS | PAGING
    fields = filters.SAMPLE_FIELDS
    answers = rows("Sample")

    def get(self, request: Request) -> HttpResponseBase:
        arguments = self.arguments()
        query = filters.read_query(arguments, self.fields, self.caller)
        return self.answer(sample_listing(SampleSerializer, self.caller, query.question), arguments)


class SampleView(LedgerView):
    """One sample."""

    rule = "telemetry:get_sample"
    answers = one("Sample")

    def get(self, request: Request, message_id: str) -> Response:
        self.arguments()
        sample = _sample(self.caller, message_id)
        return Response(SampleSerializer(sample, context={"ids": ids_given([sample])}).data)


class VerificationView(LedgerView):
    """What was signed of one sample, by whom, and whether it verifies now."""

    rule = "telemetry:verify_sample"
    answers = one("Verification")

    def get(self, request: Request, message_id: str) -> Response:
        self.arguments()
        sample = _sample(self.caller, message_id)
        found = verify(sample, settings.METERING)
        return Response(VerificationSerializer(found, context={"id": message_id}).data)


def _sample(caller: Caller, message_id: str) -> Sample:
    """The sample of this id that the caller may see, else a 404."""
    found = Sample.objects.visible_to(caller).with_message_id(stored_id(message_id))
    sample = found.newest_first().select_related("series", "metadata", "signer").first()
    if sample is None:
        raise missing("Sample", message_id)
    return sample
