"""The one way an event gets into the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from metering.event_messages import RECORD_EVENTS
from metering.event_sifting import GenuineEvent, SiftedEvents
from metering.models.events import document
from metering.store import keys, partitions, quarantine, receipts
from metering.store.quarantine import Kept
from metering.store.writing import Outcome

_COLUMNS = "generated, message_id, event_type_id, project_id, traits, raw, given_id, recorded_at, signer_id, signature"
_TYPES = ("timestamptz", "uuid", "bigint", "text", "jsonb", "text", "text", "timestamptz", "bigint", "bytea")
# Which index says that it is known is left to each day: the message_id is unique within it.
_INSERT = (
    f"INSERT INTO event ({_COLUMNS}) SELECT * FROM unnest({', '.join(f'%s::{type_}[]' for type_ in _TYPES)}) "
    "ON CONFLICT DO NOTHING"
)


def record(sifted: SiftedEvents, now: datetime) -> Outcome:
    """Store every genuine event once, in one transaction with the refused ones.

    Safe to run again: the event of a known message_id is the same event. Raises Django's database errors;
    nothing is stored then.
    """
    genuine = sifted.genuine
    partitions.ensure((item.generated.date() for item in genuine), partitions.EVENTS)
    ids = keys.resolve_events(genuine)
    stored = 0
    with transaction.atomic(), connection.cursor() as cursor:
        if genuine:
            cursor.execute("SELECT clock_timestamp()")
            recorded_at = cursor.fetchone()[0]
            # In the order of their ids, so that two workers with the same events cannot deadlock.
            rows = [_row(item, ids, recorded_at) for item in sorted(genuine, key=lambda item: item.message_id)]
            cursor.execute(_INSERT, [list(column) for column in zip(*rows, strict=True)])
            stored = cursor.rowcount
            receipts.seen(cursor, sifted.publisher, now)
        quarantine.keep_all(cursor, kept(sifted))
    return Outcome(stored, len(genuine) - stored, len(sifted.refused))


def kept(sifted: SiftedEvents) -> Sequence[Kept]:
    """What quarantine keeps of the refused ones: batches, which say which task takes them."""
    return [
        Kept("batch", item.body.encode("utf-8", "surrogatepass"), item.reason, item.publisher, {"task": RECORD_EVENTS})
        for item in sifted.refused
    ]


def _row(item: GenuineEvent, ids: keys.EventIds, recorded_at: datetime) -> tuple[Any, ...]:
    traits = document(item.traits)
    return (
        item.generated,
        item.message_id,
        ids.event_types[item.event_type],
        traits.get("s:project_id"),
        json.dumps(traits),
        item.raw,
        item.given_id,
        recorded_at,
        ids.signers[item.signer],
        item.signature,
    )
