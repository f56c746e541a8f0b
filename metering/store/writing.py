"""COPY in: the one way a sample gets into the store."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import IntegrityError, connection, transaction
from psycopg2.errors import UniqueViolation

from metering.sifting import Genuine, Refused, Sifted, repacked
from metering.store import keys, partitions, quarantine, receipts, resources

Cursor = Any  # Django's wrapper, which hands COPY through to psycopg2's

COLUMNS = "series_id, ts, message_id, volume, recorded_at, metadata_id, signer_id, signature"
_TYPES = ("bigint", "timestamptz", "uuid", "float8", "timestamptz", "bigint", "bigint", "bytea")
_Row = tuple[int, str, str, str, str, int, int, str]  # of COLUMNS, as COPY's text
DIFFERS = "differs from what is stored"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch."""

    stored: int
    known: int  # were stored before: a repeat
    refused: int
    differing: int = 0  # of the refused: genuine, but something else is stored under their id


def record(sifted: Sifted, now: datetime) -> Outcome:
    """Store every genuine message once, in one transaction with the refused ones and the batch's receipt.

    A message under whose id something else is stored moves from the genuine to the refused: what is stored stays.
    Safe to run again. Raises Django's database errors; nothing is stored then.
    """
    partitions.ensure(item.ts.date() for item in sifted.genuine)
    ids = keys.resolve(sifted.genuine)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        recorded_at = cursor.fetchone()[0].isoformat()
        stored, differing = _insert(cursor, [_row(item, ids, recorded_at) for item in sifted.genuine])
        genuine, refused = sifted.genuine, sifted.refused
        if differing:
            genuine = [item for place, item in enumerate(genuine) if place not in differing]
            refused = [*refused, *(_differing(sifted.genuine[place]) for place in sorted(differing))]
        _keep_originals(cursor, [item for item in genuine if item.original is not None], ids)
        _keep_foreign_ids(cursor, [item for item in genuine if item.foreign_id], ids)
        resources.update(cursor, genuine, ids)
        quarantine.keep_refused(cursor, refused)
        if sifted.receipt is not None:
            receipts.record(cursor, sifted.receipt, now)
    sifted.genuine, sifted.refused = genuine, refused  # only now: a transaction that failed is tried again
    return Outcome(stored, len(genuine) - stored, len(refused), len(differing))


def _differing(item: Genuine) -> Refused:
    return Refused(item.original or json.dumps(repacked(item)), DIFFERS, item.signer[2])


@lru_cache(maxsize=1024)
def _time_text(moment: datetime) -> str:
    """Of one length, so that texts sort as times do. A poll's samples share their moment."""
    return moment.isoformat(timespec="microseconds")


def _row(item: Genuine, ids: keys.Ids, recorded_at: str) -> _Row:
    return (
        ids.series[item.series.key],
        _time_text(item.ts),
        item.message_id,
        repr(item.volume),
        recorded_at,
        ids.metadata[item.metadata],
        ids.signers[item.signer],
        f"\\x{item.signature.hex()}",
    )


def _insert(cursor: Cursor, given: Sequence[_Row]) -> tuple[int, set[int]]:
    """Store rows, those that are known already left out; how many were new, and the places of those that differ.

    COPY first, because a repeat is rare; where one is among the rows, the whole COPY is undone and those
    that are missing are inserted, a fifth slower.
    """
    if not given:
        return 0, set()
    rows = sorted(given)
    lines = "".join(
        f"{series}\t{ts}\t{id_}\t{volume}\t{at}\t{metadata}\t{signer}\t\\{signature}\n"
        for series, ts, id_, volume, at, metadata, signer, signature in rows
    )
    try:
        with transaction.atomic(), connection.wrap_database_errors:  # Django translates no errors of COPY by itself
            cursor.copy_expert(f"COPY sample ({COLUMNS}) FROM STDIN", io.StringIO(lines))
    except IntegrityError as exc:
        if not isinstance(exc.__cause__, UniqueViolation):
            raise
        return _insert_missing(cursor, "sample", COLUMNS, _TYPES, rows), _find_differing(cursor, given)
    return len(rows), set()


# A repeat has what its row has, be it signed by another key. The time of the row tells its partition.
_DIFFERING = """
SELECT place
FROM unnest(%s::int[], %s::bigint[], %s::timestamptz[], %s::uuid[], %s::float8[], %s::bigint[])
    AS given (place, series_id, ts, message_id, volume, metadata_id)
JOIN sample USING (series_id, ts, message_id)
WHERE sample.volume <> given.volume OR sample.metadata_id <> given.metadata_id
"""


def _find_differing(cursor: Cursor, given: Sequence[_Row]) -> set[int]:
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
        (ids.series[item.series.key], item.ts, item.message_id, item.signature, item.original) for item in items
    )
    if rows:
        cursor.execute(_KEEP_ORIGINALS, [list(column) for column in zip(*rows, strict=True)])


def _keep_foreign_ids(cursor: Cursor, items: Sequence[Genuine], ids: keys.Ids) -> None:
    rows = sorted((item.message_id, ids.series[item.series.key], item.ts) for item in items)
    _insert_missing(cursor, "foreign_id", "message_id, series_id, ts", ("uuid", "bigint", "timestamptz"), rows)
