"""A partition a day for ``sample``, ``sample_original`` and ``event``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction

from metering.store import watermarks

SAMPLES = ("sample", "sample_original")
EVENTS = ("event",)
PARTITIONED = (*SAMPLES, *EVENTS)
# What is unique within a day and not beyond, which no constraint of the whole table can say.
_ONCE_A_DAY = {"event": "message_id"}

_known: set[tuple[str, date]] = set()  # what this process has seen


def ensure(days: Iterable[date], parents: Sequence[str] = SAMPLES) -> None:
    """Make the partitions of these days (UTC) where they are missing; safe to call from any number of workers.

    Outside the writer's transaction: two writers that make one inside theirs deadlock. A table is made alone
    first and then attached, which locks the parent for that moment only. Days that have expired get none.
    """
    missing = {(parent, day) for day in set(days) for parent in parents} - _known
    if not missing:
        return
    with connection.cursor() as cursor:
        first = watermarks.marks(cursor).raw_from.date()
    for parent, day in sorted(missing):
        if day >= first or parent not in SAMPLES:
            _make(parent, day)
            _known.add((parent, day))


def forget() -> None:
    """Look again: another database may be behind the connection, or a day was dropped."""
    _known.clear()


def _make(parent: str, day: date) -> None:
    name = f"{parent}_{day:%Y%m%d}"
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    with transaction.atomic(durable=False), connection.cursor() as cursor:
        # One maker at a time for a name; the lock goes with the transaction.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [name])
        cursor.execute("SELECT relispartition FROM pg_class WHERE oid = to_regclass(%s)", [name])
        found = cursor.fetchone()
        if found is None:
            cursor.execute(f"CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
            if column := _ONCE_A_DAY.get(parent):
                cursor.execute(f"ALTER TABLE {name} ADD UNIQUE ({column})")
        if found is None or not found[0]:
            bounds = [start.isoformat(), (start + timedelta(days=1)).isoformat()]
            cursor.execute(f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", bounds)
