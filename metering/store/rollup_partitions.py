"""A partition a month for ``sample_hour``, one a year for ``sample_day``. Only whoever rolls up makes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any


def ensure(cursor: Any, days: Iterable[date]) -> None:
    """Make the partitions that these days (UTC) fall into, where they are missing, in the present transaction.

    Under the roller's lock. A reader that holds the parent waits for nobody: a table is made alone, then attached.
    """
    seen = set(days)
    months = {day.replace(day=1) for day in seen}
    _make(cursor, "sample_hour", {f"{month:%Y%m}": (month, _after(month, 31).replace(day=1)) for month in months})
    years = {day.replace(month=1, day=1) for day in seen}
    _make(cursor, "sample_day", {f"{year:%Y}": (year, _after(year, 366).replace(day=1)) for year in years})


def _after(day: date, days: int) -> date:
    return day + timedelta(days=days)


def _make(cursor: Any, parent: str, spans: dict[str, tuple[date, date]]) -> None:
    names = {f"{parent}_{suffix}": span for suffix, span in spans.items()}
    cursor.execute("SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relispartition", [list(names)])
    known = {name for (name,) in cursor.fetchall()}
    for name in sorted(names.keys() - known):
        first, end = (datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat() for day in names[name])
        cursor.execute(f"CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        # Rows are only added, hour by hour: without this the index could not answer alone for a long time.
        cursor.execute(f"ALTER TABLE {name} SET (autovacuum_vacuum_insert_scale_factor = 0.02)")
        cursor.execute(f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", [first, end])
