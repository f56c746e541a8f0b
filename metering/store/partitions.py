"""A partition a day for ``sample``, ``sample_original`` and ``event``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from django.db import OperationalError, connection, transaction
from psycopg2.errors import LockNotAvailable

from metering.store import watermarks

SAMPLES = ("sample", "sample_original")
EVENTS = ("event",)
PARTITIONED = (*SAMPLES, *EVENTS)
# What is unique within a day and not beyond, which no constraint of the whole table can say.
_ONCE_A_DAY = {"event": "message_id"}
AHEAD = timedelta(days=3)  # made before their first sample comes, so that no writer waits for one at midnight

_LOCK_TIMEOUT = "100ms"  # whoever reads waits behind a change of partitions that waits
_PAUSE = 0.05  # seconds between two attempts, in which the others get on

_known: set[tuple[str, date]] = set()  # what this process has seen

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Day:
    """All partitions of one day, as PostgreSQL tells of them."""

    day: date
    tables: Mapping[str, str]  # parent -> partition
    rows: Mapping[str, int]  # parent -> how many; estimates
    bytes: int  # on disk, with indexes


def name(parent: str, day: date) -> str:
    """What the partition of a day is called."""
    return f"{parent}_{day:%Y%m%d}"


def bounds(day: date) -> tuple[datetime, datetime]:
    """A day's first moment, and the next one's."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1)


def ensure(days: Iterable[date], parents: Sequence[str] = SAMPLES, *, expired: bool = False) -> None:
    """Make the partitions of these days (UTC) where they are missing; safe to call from any number of workers.

    Outside the writer's transaction: two writers that make one inside theirs deadlock. A table is made alone
    first and then attached, which locks the parent for that moment only. Days that have expired get one only when
    that is asked for.
    """
    missing = {(parent, day) for day in set(days) for parent in parents} - _known
    if not missing:
        return
    with connection.cursor() as cursor:
        first = watermarks.marks(cursor).raw_from.date()
    for parent, day in sorted(missing):
        if expired or day >= first or parent not in SAMPLES:
            _make(parent, day)
            _known.add((parent, day))


def ahead(now: datetime) -> None:
    """Make today's partitions and those of the next days."""
    today = now.astimezone(UTC).date()
    ensure((today + timedelta(days=number) for number in range(AHEAD.days + 1)), PARTITIONED)


def forget() -> None:
    """Look again: another database may be behind the connection, or a day was dropped."""
    _known.clear()


def _make(parent: str, day: date) -> None:
    table = name(parent, day)
    with transaction.atomic(durable=False), connection.cursor() as cursor:
        # One maker at a time for a name; the lock goes with the transaction.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [table])
        cursor.execute("SELECT relispartition FROM pg_class WHERE oid = to_regclass(%s)", [table])
        found = cursor.fetchone()
        if found is None:
            cursor.execute(f"CREATE TABLE {table} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
            if column := _ONCE_A_DAY.get(parent):
                cursor.execute(f"ALTER TABLE {table} ADD UNIQUE ({column})")
        if found is None or not found[0]:
            attach(cursor, parent, table, day)


def attach(cursor: Any, parent: str, table: str, day: date) -> None:
    """Make a table its parent's partition of a day."""
    limits = [moment.isoformat() for moment in bounds(day)]
    cursor.execute(f"ALTER TABLE {parent} ATTACH PARTITION {table} FOR VALUES FROM (%s) TO (%s)", limits)


_ATTACHED = """
SELECT parent.relname, child.relname,
    GREATEST(child.reltuples, COALESCE(told.n_live_tup, 0), 0)::bigint, pg_total_relation_size(child.oid)
FROM pg_inherits
JOIN pg_class AS parent ON parent.oid = inhparent
JOIN pg_class AS child ON child.oid = inhrelid
LEFT JOIN pg_stat_all_tables AS told ON told.relid = child.oid
WHERE inhparent = ANY(%s::regclass[])
"""


def days() -> list[Day]:
    """Every day that has a partition, the oldest first. From PostgreSQL's catalogue: no sample is read."""
    found: dict[date, dict[str, tuple[str, int, int]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_ATTACHED, [list(PARTITIONED)])
        for parent, table, rows, size in cursor.fetchall():
            day = datetime.strptime(table.removeprefix(f"{parent}_"), "%Y%m%d").replace(tzinfo=UTC).date()
            found.setdefault(day, {})[parent] = table, rows, size
    return [
        Day(
            day,
            tables={parent: table for parent, (table, _, _) in parts.items()},
            rows={parent: rows for parent, (_, rows, _) in parts.items()},
            bytes=sum(size for _, _, size in parts.values()),
        )
        for day, parts in sorted(found.items())
    ]


def change(work: Callable[[Any], Result], patience: float = 30.0) -> Result:
    """Run ``work`` in a transaction beside which no sample is written, and which may take tables from readers.

    Whoever reads or writes waits while ``work`` waits for a lock, so that is given up soon and all of it is tried
    again. Raises `OperationalError` when that went on for ``patience`` seconds.
    """
    give_up = time.monotonic() + patience
    while True:
        try:
            with watermarks.exclusive(patience) as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
                return work(cursor)
        except OperationalError as exc:
            if not isinstance(exc.__cause__, LockNotAvailable) or time.monotonic() > give_up:
                raise
        time.sleep(_PAUSE)
