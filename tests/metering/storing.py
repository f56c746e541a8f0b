"""From a batch's text to committed rows, by the worker's own way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import transaction

from metering import ceilometer, packing
from metering.counters import Counter
from metering.messages import Poll
from metering.models import Quarantine, Sample
from metering.sifting import Rules, Sifted, Sifter
from metering.store import keys, partitions, reading
from metering.tasks import storage
from tests.factories import CEILOMETER_SECRET, KEYS

# Whenever these tests run, their samples are neither too old nor ahead of the clock.
RULES = Rules(KEYS, (CEILOMETER_SECRET,), None, timedelta(days=36_500), frozenset({"volume.size"}))


def batch(*counters: Counter, publisher: str = "compute/host-1", poll: Poll | None = None) -> str:
    [text] = packing.pack(counters, signer=KEYS.signer(publisher), source="openstack", poll=poll)
    return text


def whole(*given: dict[str, Any]) -> str:
    """Messages as they came, handed on."""
    [text] = packing.pack_whole([json.dumps(message) for message in given], signer=KEYS.signer("api/x"), source="x")
    return text


def foreign(secret: str = CEILOMETER_SECRET, /, **changed: Any) -> dict[str, Any]:
    """A message of a Ceilometer agent; a field that is `...` is left out."""
    fields: dict[str, Any] = {
        "source": "openstack", "counter_name": "cpu", "counter_type": "cumulative", "counter_unit": "ns",
        "counter_volume": 7, "user_id": "u", "project_id": "p", "resource_id": "r",
        "timestamp": "2026-11-23T11:59:00.123456", "resource_metadata": {"host": "h", "tags": ["x"]},
        "message_id": "2d6e0f7a-c86a-11f0-8de9-0242ac120002",
    }  # fmt: skip
    message = {name: value for name, value in (fields | changed).items() if value is not ...}
    return {**message, "message_signature": ceilometer.signature(message, secret)}


def record(*batches: str, rules: Rules = RULES) -> list[Sifted]:
    sifter = Sifter(rules)
    return [storage.record(text, sifter) for text in batches]


@contextmanager
def undone() -> Iterator[None]:
    """An empty ledger for one of many examples: what is stored meanwhile goes again, and is not remembered."""
    keys.forget()
    partitions.forget()
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def samples() -> list[Sample]:
    return list(Sample.objects.select_related("series", "metadata", "signer").order_by("ts", "message_id"))


def volumes() -> list[float]:
    return [sample.volume for sample in samples()]


def stored() -> Iterator[tuple[Sample, str | None]]:
    """Every sample and the text kept beside it."""
    found = samples()
    originals = reading.originals(found)
    for sample in found:
        yield sample, originals.get(sample.pk)


def faults(kept: Iterable[tuple[Sample, str | None]] | None = None) -> list[str]:
    """Why stored samples do not verify."""
    judged = [
        reading.fault(sample, original, KEYS, (CEILOMETER_SECRET,))
        for sample, original in (stored() if kept is None else kept)
    ]
    return [fault for fault in judged if fault is not None]


def quarantined() -> list[tuple[str, int]]:
    """Reason and count of each."""
    return list(Quarantine.objects.order_by("id").values_list("reason", "count"))
