"""Closed days: written anew in the order of their key, which makes their index denser and each series lie together.

A copy is made beside the partition, without anybody waiting. Then, with no writer at work, what came meanwhile is
added and the two are swapped. Any step may be the last one: what is left half done is thrown away at the next start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from metering.errors import Overtaken
from metering.models import LedgerDay
from metering.store import partitions, watermarks
from metering.store.copying import COLUMNS

SETTLED = timedelta(days=1)  # how long after its end a day is closed: most late samples are in by then
FEW = 3_000  # rows that the swap may add while writers wait
MOST_ROUNDS = 10  # of adding what came during the last one; writers that outrun them all wait longer, once
GREW = 0.1  # a closed day is closed again when late samples make it larger by this share

_KEY = "series_id, ts, message_id"
_MEMORY = "256MB"  # for the sort and the index
_OTHER_INDEXES = (
    "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'sample'::regclass AND NOT indisunique"
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A day's partition as it was found, and how the tables beside it are called."""

    day: date
    open: str  # the partition
    oid: int  # of it: another one may get its name
    cut: datetime  # rows recorded before it are for the copy, later ones for the swap

    @property
    def copy(self) -> str:
        return f"{self.open}_closing"

    @property
    def replaced(self) -> str:
        return f"{self.open}_replaced"

    @property
    def delta(self) -> str:
        """An index of the rows that came since the cut: finding them must not read the whole day."""
        return f"{self.open}_delta"


def due(now: datetime) -> list[date]:
    """Days to be closed, the oldest first: those over for long enough, and closed ones that have grown since."""
    closed = dict(LedgerDay.objects.filter(closed_at__isnull=False).values_list("day", "closed_rows"))
    found = []
    for day in partitions.days():
        if "sample" not in day.tables or partitions.bounds(day.day)[1] + SETTLED > now:
            continue
        before = closed.get(day.day)
        if before is None or day.rows["sample"] > (1 + GREW) * before + 1_000:
            found.append(day.day)
    return found


def close(day: date) -> int | None:
    """Rewrite a day's samples sorted by key; how many rows, None when the day has no partition.

    Safe to run again, and beside writers, which wait for milliseconds. Raises `Overtaken` when another one did
    the same meanwhile, and `OperationalError` when readers did not let go of the table.
    """
    plan = _begin(day)
    if plan is None:
        return None
    _index_what_comes(plan)
    copy, rows = _copy(plan)
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM (FREEZE, ANALYZE) {plan.copy}")  # no later reader needs to look at who wrote a row
    for _ in range(MOST_ROUNDS):
        plan, late = _catch_up(plan)
        rows += late
        if late < FEW:
            break
    rows += partitions.change(lambda cursor: _swap(cursor, plan, copy, rows))
    _drop([plan.replaced])
    return rows


def _begin(day: date) -> _Plan | None:
    """Throw away what an interrupted closing has left, and part what is there from what will come."""
    table = partitions.name("sample", day)
    _drop([f"{table}_closing", f"{table}_replaced"])
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {table}_delta")
    with watermarks.exclusive() as cursor:
        oid = _partition(cursor, table)
        return None if oid is None else _Plan(day, table, oid, watermarks.cut(cursor))


def _index_what_comes(plan: _Plan) -> None:
    """Empty, or nearly: it is made while writers go on, and goes with the table."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE INDEX CONCURRENTLY {plan.delta} ON {plan.open} (recorded_at) WHERE recorded_at >= %s", [plan.cut]
        )


def _copy(plan: _Plan) -> tuple[int, int]:
    """Its identity and its rows. Its check spares the swap a look at every row."""
    start, end = partitions.bounds(plan.day)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL work_mem = '{_MEMORY}'; SET LOCAL maintenance_work_mem = '{_MEMORY}'")
        cursor.execute(f"CREATE TABLE {plan.copy} (LIKE sample INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        cursor.execute(
            f"INSERT INTO {plan.copy} ({COLUMNS}) SELECT {COLUMNS} FROM {plan.open} WHERE recorded_at < %s "
            f"ORDER BY {_KEY}",
            [plan.cut],
        )
        rows = int(cursor.rowcount)
        cursor.execute(f"ALTER TABLE {plan.copy} ADD PRIMARY KEY ({_KEY}) WITH (fillfactor = 100)")
        cursor.execute(_OTHER_INDEXES)
        for (definition,) in cursor.fetchall():  # else the swap would make them, and keep everybody waiting
            cursor.execute(f"CREATE INDEX ON {plan.copy} USING {definition.partition(' USING ')[2]}")
        cursor.execute(f"ALTER TABLE {plan.copy} ADD CONSTRAINT of_its_day CHECK (ts >= %s AND ts < %s)", [start, end])
        cursor.execute("SELECT to_regclass(%s)::oid::bigint", [plan.copy])
        return int(cursor.fetchone()[0]), rows


def _catch_up(plan: _Plan) -> tuple[_Plan, int]:
    """Add what came since the cut, up to a new one, so that little is left to the swap; how many rows that were."""
    with watermarks.exclusive() as cursor:
        cut = watermarks.cut(cursor)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # the index of what came, whatever the planner knows of it
        cursor.execute(
            f"INSERT INTO {plan.copy} ({COLUMNS}) SELECT {COLUMNS} FROM {plan.open} "
            f"WHERE recorded_at >= %s AND recorded_at < %s ORDER BY {_KEY}",
            [plan.cut, cut],
        )
        return replace(plan, cut=cut), int(cursor.rowcount)


def _swap(cursor: Any, plan: _Plan, copy: int, rows: int) -> int:
    """Put the copy, with what came since, in the partition's place; how many rows that were. Nobody writes now."""
    if _partition(cursor, plan.open) != plan.oid or _oid(cursor, plan.copy) != copy or not _oid(cursor, plan.delta):
        raise Overtaken(f"the samples of {plan.day} were closed or dropped by somebody else meanwhile")
    cursor.execute("SET LOCAL enable_seqscan = off")
    cursor.execute(
        f"INSERT INTO {plan.copy} ({COLUMNS}) SELECT {COLUMNS} FROM {plan.open} WHERE recorded_at >= %s", [plan.cut]
    )
    late = int(cursor.rowcount)
    cursor.execute(f"ALTER TABLE sample DETACH PARTITION {plan.open}")
    cursor.execute(f"ALTER TABLE {plan.open} RENAME TO {plan.replaced}")
    cursor.execute(f"ALTER TABLE {plan.copy} RENAME TO {plan.open}")
    partitions.attach(cursor, "sample", plan.open, plan.day)
    cursor.execute(f"ALTER TABLE {plan.open} DROP CONSTRAINT of_its_day")
    LedgerDay.objects.update_or_create(day=plan.day, defaults={"closed_at": Now(), "closed_rows": rows + late})
    return late


def _partition(cursor: Any, table: str) -> int | None:
    """The identity of a table that is a partition; None when there is none of this name."""
    cursor.execute("SELECT oid::bigint FROM pg_class WHERE oid = to_regclass(%s) AND relispartition", [table])
    found = cursor.fetchone()
    return int(found[0]) if found else None


def _oid(cursor: Any, relation: str) -> int | None:
    cursor.execute("SELECT to_regclass(%s)::oid::bigint", [relation])
    found: int | None = cursor.fetchone()[0]
    return found


def _drop(tables: Iterable[str]) -> None:
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
