"""What messages said of themselves that came in a form of their own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable

from metering.models.ledger import Sample, SampleOriginal

_NAMED = 5  # the version of the UUID that stands for an id which is none


def ids_given(samples: Iterable[Sample]) -> dict[uuid.UUID, str]:
    """The ids that foreign messages came with, where those are no UUIDs. No query when there are none."""
    renamed = [sample.pk for sample in samples if sample.message_id.version == _NAMED]
    if not renamed:
        return {}
    bodies = SampleOriginal.objects.filter(pk__in=renamed).values_list("message_id", "body")
    return {message_id: json.loads(body)["message_id"] for message_id, body in bodies}
