"""``/v2/samples``: samples of any meter, newest first, and one by its id."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from api import filters
from api.errors import missing
from api.serializers import SampleSerializer
from api.views.base import LIMIT, LedgerView, listing
from metering.identity import stored_id
from metering.models import Sample
from metering.models.newest import newest_samples
from metering.models.originals import ids_given


class SamplesView(LedgerView):
    """Samples, newest first."""

    rule = "telemetry:get_samples"
    known = filters.ARGUMENTS | {"limit"}

    def get(self, request: Request) -> Response:
        arguments = self.arguments()
        query = filters.read_query(arguments, filters.SAMPLE_FIELDS, self.caller)
        samples = newest_samples(self.caller, query.question, arguments.limit(LIMIT))
        return listing(SampleSerializer, samples, ids=ids_given(samples))


class SampleView(LedgerView):
    """One sample."""

    rule = "telemetry:get_sample"

    def get(self, request: Request, message_id: str) -> Response:
        self.arguments()
        found = Sample.objects.visible_to(self.caller).with_message_id(stored_id(message_id))
        sample = found.newest_first().first()
        if sample is None:
            raise missing("Sample", message_id)
        return Response(SampleSerializer(sample, context={"ids": ids_given([sample])}).data)
