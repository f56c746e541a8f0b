"""Many writers on the same events: no deadlock, every event once, every partition made once."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest

from metering.models import Event, EventTrait, EventType, Quarantine
from tests.events import batch, event, record
from tests.metering.test_concurrent_writers import at_once

pytestmark = pytest.mark.usefixtures("shared_ledger")


def numbered(trait: int, value: int) -> dict[str, Any]:
    return {f"trait{trait}": value}


def test_overlapping_batches_of_events_are_stored_once_by_any_number_of_writers() -> None:
    events = [
        event(number, 3_600 * (number % 60), of=f"type.{number % 7}", **numbered(number % 11, number))
        for number in range(120)
    ]
    order = random.Random(7)
    texts = [batch(*order.sample(events, 60)) for _ in range(12)] + [batch(*events)]

    at_once([partial(record, *order.sample(texts, len(texts))) for _ in range(6)])

    assert Event.objects.count() == Event.objects.values("message_id").distinct().count() == 120
    assert EventType.objects.count() == 7
    assert EventTrait.objects.count() == 7 * (11 + 2)
    assert not Quarantine.objects.exists()
