"""From samples to their roll-ups: each closed hour once, then again whatever got a sample after it was closed.

An hour is closed under the lock that writers share, so every sample of it is there or will be noted in ``late``. A
row of ``late`` goes in the statement that adds the hour up again, so that a reader sees the old roll-up and the note,
or the new one and none. Whatever dies half-way leaves its transaction undone, and the next run does it again.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from psycopg2.errors import LockNotAvailable

from metering.errors import LeaseLost
from metering.store import leases, rollup_partitions, watermarks
from metering.store.adding_up import STORE_DAYS, STORE_HOURS

log = logging.getLogger(__name__)

Cursor = Any

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GRACE = timedelta(minutes=5)  # after an hour's end, for samples that are on their way: what comes later costs a note
AT_ONCE = 20_000  # notes of late samples that one transaction settles
_LEASE = timedelta(minutes=5)
# Whoever adds up has this lock of its transaction: of two, the one that began earlier would overwrite the later's
# sums with what it saw. The lease keeps the second from trying, but it expires beneath a process that stalls.
_LOCK = 0x6E6570686F02

_EVERY_SERIES = (
    "wanted AS (SELECT id AS series_id, hour FROM series CROSS JOIN unnest(%(hours)s::timestamptz[]) AS hour)"
)
_HOURS = f"WITH {_EVERY_SERIES}, {STORE_HOURS} SELECT count(*) FROM made"
_DAYS = f"WITH wanted AS (SELECT id AS series_id, %(start)s::timestamptz AS day FROM series) {STORE_DAYS}"
_LATE = f"""
WITH gone AS (
    DELETE FROM late WHERE hour < %(end)s AND ctid = ANY (ARRAY(
        SELECT ctid FROM late WHERE hour < %(end)s LIMIT {AT_ONCE}
    )) RETURNING series_id, hour
), wanted AS (
    SELECT DISTINCT series_id, hour FROM gone WHERE hour >= %(start)s
), {STORE_HOURS}
SELECT DISTINCT series_id, date_bin('1 day', hour, 'epoch') FROM made
"""
_LATE_DAYS = f"""
WITH wanted AS (SELECT * FROM unnest(%(series)s::bigint[], %(days)s::timestamptz[]) AS named (series_id, day))
{STORE_DAYS}
"""


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour, UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_of(moment: datetime) -> datetime:
    """Its midnight, UTC."""
    return hour_of(moment).replace(hour=0)


def roll_up(now: datetime, seconds: float = math.inf) -> bool:
    """Roll up every hour that ended `GRACE` before ``now``, then what came late; False where another process does.

    After so many ``seconds`` it stops between two hours, for the next run to go on. Each hour is a transaction of its
    own: safe to run at any time, from any process, and to kill.
    """
    stop = time.monotonic() + seconds
    with leases.held("roll up", _LEASE) as lease:
        if lease is None:
            return False
        try:
            _close(hour_of(now - GRACE))
            while time.monotonic() < stop and _roll_next():
                lease.renew()
            for _ in range(_notes() // AT_ONCE + 1):
                if time.monotonic() < stop:
                    settle()
                    lease.renew()
        except LeaseLost as exc:
            log.warning("%s: it rolls up from here", exc)
    return True


def _close(until: datetime) -> None:
    """Move ``closing``, unless writers leave no gap to do it in: then the next run does."""
    with connection.cursor() as cursor:
        if watermarks.marks(cursor).closing >= until:
            return
    try:
        with watermarks.exclusive() as cursor:
            watermarks.advance(cursor, closing=until)
    except OperationalError as exc:
        if not isinstance(exc.__cause__, LockNotAvailable):
            raise
        log.warning("the hour before %s stays open for now: writers hold their lock all the time", until)


@contextmanager
def rolling() -> Iterator[Cursor]:
    """A transaction in which nobody else makes roll-ups."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Thousands of look-ups by key: compiling them to machine code takes longer than doing them.
        cursor.execute("SET LOCAL jit = off; SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        yield cursor


def _roll_next() -> bool:
    """Add up the first hour that is closed and not rolled up; False where there is none."""
    with rolling() as cursor:
        marks = watermarks.marks(cursor)
        hour = max(marks.rolled, oldest_hour(cursor, marks))
        if hour >= marks.closing:
            watermarks.advance(cursor, rolled=marks.closing)
            return False
        add_up(cursor, hour, hour + HOUR)
        if (hour + HOUR).hour == 0:
            add_up_day(cursor, day_of(hour))
        watermarks.advance(cursor, rolled=hour + HOUR)
    return True


def oldest_hour(cursor: Cursor, marks: watermarks.Marks) -> datetime:
    """The first hour that may hold samples; ``closing`` where there are none."""
    cursor.execute("SELECT COALESCE(min(first_sample), %s) FROM resource", [marks.closing])
    oldest: datetime = cursor.fetchone()[0]
    return max(marks.raw_from, hour_of(oldest))


def add_up(cursor: Cursor, start: datetime, end: datetime) -> int:
    """Make the roll-ups of the hours from ``start`` to ``end``, of every series; how many. Under `rolling`."""
    hours = [start + number * HOUR for number in range((end - start) // HOUR)]
    rollup_partitions.ensure(cursor, {hour.date() for hour in hours})
    cursor.execute(_HOURS, {"hours": hours, "start": start, "end": end})
    return int(cursor.fetchone()[0])


def add_up_day(cursor: Cursor, day: datetime) -> None:
    """Make the roll-ups of a day of its hours', of every series. Under `rolling`."""
    cursor.execute(_DAYS, {"start": day, "end": day + DAY})


def settle() -> None:
    """Add up again the hours that the oldest notes in ``late`` name, as many as one transaction takes."""
    with rolling() as cursor:
        marks = watermarks.marks(cursor)
        rollup_partitions.ensure(cursor, _noted_days(cursor, marks))
        cursor.execute(_LATE, {"start": marks.raw_from, "end": marks.rolled})
        touched = [(series_id, day) for series_id, day in cursor.fetchall() if day + DAY <= marks.rolled]
        if touched:
            series, days = (list(column) for column in zip(*touched, strict=True))
            bounds = {"start": min(days), "end": max(days) + DAY}
            cursor.execute(_LATE_DAYS, {"series": series, "days": days, **bounds})


def _noted_days(cursor: Cursor, marks: watermarks.Marks) -> set[date]:
    cursor.execute(
        "SELECT DISTINCT date_bin('1 day', hour, 'epoch') FROM late WHERE hour >= %s AND hour < %s",
        [marks.raw_from, marks.rolled],
    )
    return {day.date() for (day,) in cursor.fetchall()}


def _notes() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM late")
        return int(cursor.fetchone()[0])


def is_settled(cursor: Cursor, before: datetime) -> bool:
    """Whether the roll-ups before this hour hold every sample: what expires may then go.

    Asked under the writers' lock alone it stays true. Hours of volumes too large to be added up count as settled.
    """
    if watermarks.marks(cursor).rolled < before:
        return False
    cursor.execute(
        "SELECT NOT EXISTS (SELECT FROM late WHERE hour < %s AND NOT EXISTS ("
        "SELECT FROM sample_hour known WHERE known.series_id = late.series_id AND known.hour = late.hour "
        "AND known.sum = 'Infinity'))",
        [before],
    )
    return bool(cursor.fetchone()[0])


def rebuild(day: datetime, start: datetime, end: datetime) -> tuple[int, int]:
    """Make the roll-ups of a day's hours within ``start`` and ``end`` anew; how many went and how many came.

    Never below ``raw_from``, whose samples are gone, nor from ``rolled`` on, which is still to be rolled up.
    """
    with rolling() as cursor:
        marks = watermarks.marks(cursor)
        first, last = max(day, start, marks.raw_from), min(day + DAY, end, marks.rolled)
        if first >= last:
            return 0, 0
        cursor.execute("DELETE FROM sample_hour WHERE hour >= %s AND hour < %s", [first, last])
        gone, made = cursor.rowcount, add_up(cursor, first, last)
        if day + DAY <= marks.rolled:
            cursor.execute("DELETE FROM sample_day WHERE day = %s", [day])
            add_up_day(cursor, day)
    return gone, made
