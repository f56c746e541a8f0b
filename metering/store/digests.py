"""Digests of each day's samples, in a chain: docs/audit.md tells what they prove, and how to recompute them.

Generation g of a day covers exactly its samples that were recorded from the end of generation g-1 up to a cut
(`watermarks.cut`), so late ones make a new generation and never touch an old one. Rows that a day's closing moves
are the same rows, in the same order of their key.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from metering.bounds import timestamp_text
from metering.models import Digest
from metering.signing import Keyring, canonical
from metering.store import watermarks
from metering.store.partitions import bounds
from metering.store.raw_rows import stored_days

log = logging.getLogger(__name__)

FORMAT = "nephometer-digest/1"
PUBLISHER = "control/digests"  # whose key signs them
SETTLED = timedelta(hours=1)  # after its end, a day has nearly all that will ever come: its first generation is whole

_LOCK = 0x6E657064  # of who appends; with `watermarks.LOCK` it is always taken second
# What an auditor copies, too: never to be changed.
COPIED = """
SELECT s.series_id::bigint, s.ts, s.message_id, s.volume, s.recorded_at, s.metadata_id::bigint, s.signer_id::bigint,
    s.signature, o.body
FROM sample s LEFT JOIN sample_original o
    ON o.series_id = s.series_id AND o.ts = s.ts AND o.message_id = s.message_id AND o.ts >= {start} AND o.ts < {end}
WHERE s.ts >= {start} AND s.ts < {end}{recorded}
ORDER BY s.series_id, s.ts, s.message_id
"""
_EMPTY = bytes(32)


@dataclass(frozen=True, slots=True)
class Content:
    """How many samples there are, and the SHA-256 of the binary COPY of them."""

    samples: int
    hash: bytes


class _Hashed:
    """A file that keeps the hash of what is written to it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.write = self._hash.update

    def digest(self) -> bytes:
        return self._hash.digest()


def content(day: date, after: datetime | None, until: datetime) -> Content:
    """Of the day's samples that were recorded in this span. Reads them all, in the order of their key."""
    start, end = bounds(day)
    values = {"start": start, "end": end, "after": after, "until": until}
    recorded = " AND s.recorded_at < %(until)s" + (" AND s.recorded_at >= %(after)s" if after else "")
    statement = COPIED.format(start="%(start)s", end="%(end)s", recorded=recorded)
    hashed = _Hashed()
    with connection.cursor() as cursor, connection.wrap_database_errors:
        cursor.copy_expert(cursor.mogrify(f"COPY ({statement}) TO STDOUT (FORMAT binary)".encode(), values), hashed)
        return Content(cursor.rowcount, hashed.digest())


def text(row: Digest) -> str:
    """What is hashed and signed of a row."""
    return canonical(
        [
            FORMAT,
            row.number,
            row.kind,
            row.day.isoformat(),
            row.generation,
            None if row.after is None else timestamp_text(row.after),
            timestamp_text(row.until),
            row.samples,
            bytes(row.hash).hex(),
            bytes(row.previous).hex(),
        ]
    )


def head() -> Digest | None:
    """The last row of the chain."""
    return Digest.objects.order_by("-number").first()


def due(until: datetime) -> list[date]:
    """The days that are over and have samples, recorded before ``until``, which no generation covers yet."""
    over = [day for day in stored_days() if bounds(day)[1] + SETTLED <= until]
    return [day for day in over if _any_recorded(day, _end_of(_last_of(day)), until)]


def due_now() -> list[date]:
    """The days that `seal` would take up."""
    with transaction.atomic(), connection.cursor() as cursor:
        return due(watermarks.writing(cursor).recorded_at + timedelta(microseconds=1))


def seal(keyring: Keyring, most: int | None = None) -> Iterator[Digest]:
    """Make a generation of every day that is `due`; of more than ``most`` samples (an estimate) it is left.

    Safe to stop anywhere, to run again, and beside another: a generation is made once. Not within a transaction.
    """
    with watermarks.exclusive() as cursor:
        until = watermarks.cut(cursor)
    for day in due(until):
        if most is not None and _estimate(day) > most:
            log.warning("%s has too many samples to be sealed by the way: run manage.py seal_days", day)
        elif made := seal_day(day, until, keyring):
            yield made


def seal_day(day: date, until: datetime, keyring: Keyring) -> Digest | None:
    """A new generation of the day, up to this cut; None where nothing was recorded since the last one."""
    last = _last_of(day)
    after = _end_of(last)
    if not _any_recorded(day, after, until):
        return None
    found = content(day, after, until)
    with transaction.atomic(), connection.cursor() as cursor:
        _lock(cursor)
        if _last_of(day) != last:  # made by another meanwhile
            return None
        return _append(Digest.Kind.SAMPLES, day, after, until, found, keyring)


def dropped(day: date, keyring: Keyring) -> Digest | None:
    """Say that the day expired with what its generations count. To be called in the transaction that drops it.

    Before, when no more samples of the day can come, `seal_expiring` covers what no generation does. None where no
    generation is left to be dropped: it was said already, or the day never had a sample.
    """
    with connection.cursor() as cursor:
        _lock(cursor)
    kept = live(list(Digest.objects.filter(day=day).order_by("generation")))
    if not kept:
        return None
    total = hashlib.sha256(b"".join(bytes(row.hash) for row in kept)).digest()
    found = Content(sum(row.samples for row in kept), total)
    return _append(Digest.Kind.DROPPED, day, kept[0].after, kept[-1].until, found, keyring)


def seal_expiring(day: date, keyring: Keyring) -> Digest | None:
    """The last generation of a day of which no more samples are stored. Not within a transaction."""
    with watermarks.exclusive() as cursor:
        until = watermarks.cut(cursor)
    return seal_day(day, until, keyring)


def live(rows: list[Digest]) -> list[Digest]:
    """Of a day's rows, in order: the generations since it was last dropped."""
    ends = [place for place, row in enumerate(rows, 1) if row.kind == Digest.Kind.DROPPED]
    return rows[ends[-1] :] if ends else rows


def _lock(cursor: Any) -> None:
    """One appends at a time: the chain has one end."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _estimate(day: date) -> int:
    """How many samples the day has, by PostgreSQL's own count of its pages and their rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(sum(GREATEST(reltuples, 0)), 0) FROM pg_class WHERE relname = %s", [f"sample_{day:%Y%m%d}"]
        )
        return int(cursor.fetchone()[0])


def _end_of(last: Digest | None) -> datetime | None:
    return last.until if last else None


def _last_of(day: date) -> Digest | None:
    return Digest.objects.filter(day=day).order_by("-generation").first()


def _append(
    kind: Digest.Kind, day: date, after: datetime | None, until: datetime, found: Content, keyring: Keyring
) -> Digest:
    """Add a row to the chain, under its lock."""
    before, last = head(), _last_of(day)
    row = Digest(
        number=before.number + 1 if before else 1,
        day=day,
        generation=last.generation + 1 if last else 1,
        kind=kind,
        after=after,
        until=until,
        samples=found.samples,
        hash=found.hash,
        previous=before.digest if before else _EMPTY,
    )
    signed = text(row).encode()
    row.digest = hashlib.sha256(signed).digest()
    row.signature = keyring.signer(PUBLISHER).sign(signed)
    row.save(force_insert=True)
    return row


_ANY_RECORDED = """
SELECT EXISTS (
    SELECT FROM sample WHERE ts >= %(start)s AND ts < %(end)s AND recorded_at < %(until)s
    AND recorded_at >= COALESCE(%(after)s, '-infinity'::timestamptz)
)
"""


def _any_recorded(day: date, after: datetime | None, until: datetime) -> bool:
    """Whether there is anything to cover, by the index of ``recorded_at``."""
    start, end = bounds(day)
    with transaction.atomic(), connection.cursor() as cursor:
        # Where there is nothing, any other plan reads the whole day, but is thought to find something soon.
        for way in ("seqscan", "indexscan", "indexonlyscan"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute(_ANY_RECORDED, {"start": start, "end": end, "after": after, "until": until})
        return bool(cursor.fetchone()[0])
