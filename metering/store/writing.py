"""COPY in: the one way a sample gets into the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from psycopg2.errors import UniqueViolation

from metering.errors import PostRefused
from metering.sifting import Genuine, Refused, Sifted, refusal
from metering.store import copying, keys, partitions, quarantine, receipts, resources, watermarks

COLUMNS = copying.COLUMNS
Cursor = Any  # Django's wrapper, which hands COPY through to psycopg2's

_TYPES = ("bigint", "timestamptz", "uuid", "float8", "timestamptz", "bigint", "bigint", "bytea")
DIFFERS = "differs from what is stored"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch."""

    stored: int
    known: int  # were stored before: a repeat
    refused: int
    differing: int = 0  # of the refused: genuine, but something else is stored under their id


def record(sifted: Sifted, now: datetime, *, restoring: bool = False, whole: bool = False) -> Outcome:
    """Store every genuine message once, in one transaction with the refused ones and the batch's receipt.

    A message under whose id something else is stored moves from the genuine to the refused: what is stored stays.
    So does one that has expired, unless it is being restored. Safe to run again. Raises Django's database errors and,
    where all must be stored (``whole``) and something is refused, `PostRefused`; nothing is stored then.
    """
    partitions.ensure({moment.date() for moment in _moments(sifted.genuine)}, expired=restoring)
    ids = keys.resolve(sifted.genuine)
    with transaction.atomic(), connection.cursor() as cursor:
        marks = watermarks.writing(cursor)
        genuine, refused = (sifted.genuine, sifted.refused) if restoring else _unexpired(sifted, marks)
        stored, differing = _insert(cursor, genuine, ids, marks.recorded_at)
        if differing:
            refused = [*refused, *(refusal(genuine[place], DIFFERS) for place in sorted(differing))]
            genuine = [item for place, item in enumerate(genuine) if place not in differing]
        if whole and refused:
            raise PostRefused(refused[0].reason)
        _keep_late(cursor, genuine, ids, marks)
        _keep_originals(cursor, [item for item in genuine if item.original is not None], ids)
        _keep_foreign_ids(cursor, [item for item in genuine if item.foreign_id], ids)
        resources.update(cursor, genuine, ids)
        quarantine.keep_refused(cursor, refused)
        if sifted.receipt is not None:
            receipts.record(cursor, sifted.receipt, now)
    sifted.genuine, sifted.refused = genuine, refused  # only now: a transaction that failed is tried again
    return Outcome(stored, len(genuine) - stored, len(refused), len(differing))


def _moments(genuine: Sequence[Genuine]) -> set[datetime]:
    """Nearly always one: a poll's samples share it."""
    return {item.ts for item in genuine}


def _unexpired(sifted: Sifted, marks: watermarks.Watermarks) -> tuple[list[Genuine], list[Refused]]:
    """What may be stored, and what not: of samples that have expired the partition is gone, or will be."""
    if all(moment >= marks.raw_from for moment in _moments(sifted.genuine)):
        return sifted.genuine, sifted.refused
    reason = expired(marks.raw_from)
    gone = [refusal(item, reason) for item in sifted.genuine if item.ts < marks.raw_from]
    return [item for item in sifted.genuine if item.ts >= marks.raw_from], [*sifted.refused, *gone]


def expired(raw_from: datetime) -> str:
    """Why a sample from before this is refused."""
    return f"samples before {raw_from:%Y-%m-%d %H:%M} UTC have expired (METERING_RETENTION_DAYS)"


def _keep_late(cursor: Cursor, genuine: Sequence[Genuine], ids: keys.Ids, marks: watermarks.Watermarks) -> None:
    """Have the hours rolled up again that were closed before these samples came."""
    if any(moment < marks.closing for moment in _moments(genuine)):
        late = [item for item in genuine if marks.raw_from <= item.ts < marks.closing]
        watermarks.keep_late(cursor, {(ids.series[item.series.digest], _hour(item.ts)) for item in late})


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _insert(cursor: Cursor, genuine: Sequence[Genuine], ids: keys.Ids, recorded_at: datetime) -> tuple[int, set[int]]:
    """Store samples, those that are known already left out; how many were new, and the places of those that differ.

    COPY first, because a repeat is rare; where one is among the rows, the whole COPY is undone and those
    that are missing are inserted.
    """
    if not genuine:
        return 0, set()
    try:
        with transaction.atomic(), connection.wrap_database_errors:  # Django translates no errors of COPY by itself
            copying.copy(cursor, "sample", copying.packed(genuine, ids, recorded_at))
    except IntegrityError as exc:
        if not isinstance(exc.__cause__, UniqueViolation):
            raise
        rows = [_row(item, ids, recorded_at) for item in genuine]
        return _insert_missing(cursor, "sample", COLUMNS, _TYPES, sorted(rows)), _find_differing(cursor, rows)
    return len(genuine), set()


def _row(item: Genuine, ids: keys.Ids, recorded_at: datetime) -> tuple[object, ...]:
    return (
        ids.series[item.series.digest],
        item.ts,
        item.message_id,
        repr(item.volume),  # psycopg2's own form of -0.0 is 0
        recorded_at,
        ids.metadata[item.metadata],
        ids.signers[item.signer],
        item.signature,
    )


# A repeat has what its row has, be it signed by another key. The time of the row tells its partition.
_DIFFERING = """
SELECT place
FROM unnest(%s::int[], %s::bigint[], %s::timestamptz[], %s::uuid[], %s::float8[], %s::bigint[])
    AS given (place, series_id, ts, message_id, volume, metadata_id)
JOIN sample USING (series_id, ts, message_id)
WHERE sample.volume <> given.volume OR sample.metadata_id <> given.metadata_id
"""


def _find_differing(cursor: Cursor, given: Sequence[tuple[object, ...]]) -> set[int]:
    """The places of rows that say something else than what is stored under their key."""
    rows = [(place, *row[:4], row[5]) for place, row in enumerate(given)]
    cursor.execute(_DIFFERING, [list(column) for column in zip(*rows, strict=True)])
    return {place for (place,) in cursor.fetchall()}


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
