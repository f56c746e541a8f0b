"""COPY in: the one way a sample gets into the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from psycopg2.errors import UniqueViolation

from metering.sifting import Genuine, Sifted, refusal
from metering.store import copying, keys, partitions, quarantine, receipts, resources, watermarks

COLUMNS = copying.COLUMNS
Cursor = Any  # Django's wrapper, which hands COPY through to psycopg2's

_TYPES = ("bigint", "timestamptz", "uuid", "float8", "timestamptz", "bigint", "bigint", "bytea")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch."""

    stored: int
    known: int  # were stored before: a repeat
    refused: int


def record(sifted: Sifted, now: datetime, *, restoring: bool = False) -> Outcome:
    """Store every genuine message once, in one transaction with the refused ones and the batch's receipt.

    Safe to run again. Samples that have expired go over to the refused. Raises Django's database errors; nothing
    is stored then.
    """
    partitions.ensure({moment.date() for moment in _moments(sifted.genuine)}, expired=restoring)
    ids = keys.resolve(sifted.genuine)
    with transaction.atomic(), connection.cursor() as cursor:
        marks = watermarks.writing(cursor)
        if not restoring:
            _refuse_expired(sifted, marks)
        genuine = sifted.genuine
        stored = _insert(cursor, genuine, ids, marks.recorded_at)
        _keep_late(cursor, genuine, ids, marks)
        _keep_originals(cursor, [item for item in genuine if item.original is not None], ids)
        _keep_foreign_ids(cursor, [item for item in genuine if item.foreign_id], ids)
        resources.update(cursor, genuine, ids)
        quarantine.keep_refused(cursor, sifted.refused)
        if sifted.receipt is not None:
            receipts.record(cursor, sifted.receipt, now)
    return Outcome(stored, len(genuine) - stored, len(sifted.refused))


def _moments(genuine: Sequence[Genuine]) -> set[datetime]:
    """Nearly always one: a poll's samples share it."""
    return {item.ts for item in genuine}


def _refuse_expired(sifted: Sifted, marks: watermarks.Watermarks) -> None:
    """Their partition is gone, or will be: what was too old when it was judged is refused before."""
    if all(moment >= marks.raw_from for moment in _moments(sifted.genuine)):
        return
    expired = [item for item in sifted.genuine if item.ts < marks.raw_from]
    sifted.genuine = [item for item in sifted.genuine if item.ts >= marks.raw_from]
    reason = f"samples before {marks.raw_from:%Y-%m-%d %H:%M} UTC have expired (METERING_RETENTION_DAYS)"
    sifted.refused += [refusal(item, reason) for item in expired]


def _keep_late(cursor: Cursor, genuine: Sequence[Genuine], ids: keys.Ids, marks: watermarks.Watermarks) -> None:
    """Have the hours rolled up again that were closed before these samples came."""
    if any(moment < marks.closing for moment in _moments(genuine)):
        late = [item for item in genuine if marks.raw_from <= item.ts < marks.closing]
        watermarks.keep_late(cursor, {(ids.series[item.series.digest], _hour(item.ts)) for item in late})


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _insert(cursor: Cursor, genuine: Sequence[Genuine], ids: keys.Ids, recorded_at: datetime) -> int:
    """Store samples in the order of their key, those that are known already left out; how many were new.

    COPY first, because a repeat is rare; where one is among the rows, the whole COPY is undone and those
    that are missing are inserted.
    """
    if not genuine:
        return 0
    rows = copying.packed(genuine, ids, recorded_at)
    try:
        with transaction.atomic(), connection.wrap_database_errors:  # Django translates no errors of COPY by itself
            copying.copy(cursor, "sample", rows)
    except IntegrityError as exc:
        if not isinstance(exc.__cause__, UniqueViolation):
            raise
        return _insert_missing(cursor, "sample", copying.COLUMNS, _TYPES, _in_key_order(genuine, ids, recorded_at))
    return len(rows)


def _in_key_order(genuine: Sequence[Genuine], ids: keys.Ids, recorded_at: datetime) -> list[tuple[object, ...]]:
    return sorted(
        (
            ids.series[item.series.digest],
            item.ts,
            item.message_id,
            repr(item.volume),  # psycopg2's own form of -0.0 is 0
            recorded_at,
            ids.metadata[item.metadata],
            ids.signers[item.signer],
            item.signature,
        )
        for item in genuine
    )


def _insert_missing(
    cursor: Cursor, table: str, columns: str, types: Sequence[str], rows: Iterable[Sequence[object]]
) -> int:
    """Insert the rows whose key is not there yet; how many those were."""
    arrays = [list(column) for column in zip(*rows, strict=True)]
    if not arrays:
        return 0
    unnested = ", ".join(f"%s::{type_}[]" for type_ in types)
    cursor.execute(f"INSERT INTO {table} ({columns}) SELECT * FROM unnest({unnested}) ON CONFLICT DO NOTHING", arrays)
    return int(cursor.rowcount)


# Only beside the row that has its signature: a message that takes the id of a known one must not speak for that.
_KEEP_ORIGINALS = """
INSERT INTO sample_original (series_id, ts, message_id, body)
SELECT series_id, ts, message_id, body
FROM unnest(%s::bigint[], %s::timestamptz[], %s::uuid[], %s::bytea[], %s::text[])
    AS kept (series_id, ts, message_id, signature, body)
JOIN sample USING (series_id, ts, message_id, signature)
ON CONFLICT DO NOTHING
"""


def _keep_originals(cursor: Cursor, items: Sequence[Genuine], ids: keys.Ids) -> None:
    rows = sorted(
        (ids.series[item.series.digest], item.ts, item.message_id, item.signature, item.original) for item in items
    )
    if rows:
        cursor.execute(_KEEP_ORIGINALS, [list(column) for column in zip(*rows, strict=True)])


def _keep_foreign_ids(cursor: Cursor, items: Sequence[Genuine], ids: keys.Ids) -> None:
    rows = sorted((item.message_id, ids.series[item.series.digest], item.ts) for item in items)
    _insert_missing(cursor, "foreign_id", "message_id, series_id, ts", ("uuid", "bigint", "timestamptz"), rows)
