"""``/v2/samples``: samples of any meter, newest first, and one by its id."""

from __future__ import annotations

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from api import filters
from api.described import one, rows
from api.errors import missing
from api.serializers import SampleSerializer, VerificationSerializer
from api.views.base import LIMIT, LedgerView, listing
from metering.identity import stored_id
from metering.models import Caller, Sample
from metering.models.newest import newest_samples
from metering.models.originals import ids_given
from metering.verifying import verify


class SamplesView(LedgerView):
    """Samples, newest first."""

    rule = "telemetry:get_samples"
    known = filters.ARGUMENTS | {"limit"}
    fields = filters.SAMPLE_FIELDS
    answers = rows("Sample")

    def get(self, request: Request) -> Response:
        arguments = self.arguments()
        query = filters.read_query(arguments, self.fields, self.caller)
        samples = newest_samples(self.caller, query.question, arguments.limit(LIMIT))
        return listing(SampleSerializer, samples, ids=ids_given(samples))


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
