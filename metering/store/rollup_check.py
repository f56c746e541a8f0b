"""Whether the roll-ups are what the samples, and the hours, add up to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from metering.store import watermarks
from metering.store.adding_up import COLUMNS, DAYS_MADE, HOURS_MADE
from metering.store.rollups import DAY, day_of, oldest_hour

_HOURS = {"hour": 1, "day": 24}
_EXACT = ("count", "min", "max", "first_at", "first_volume", "last_at", "last_volume", "resets", "gap")
# One statement, so that a sample that is written beside it is in ``late`` wherever it is not in the roll-up.
_DIFFERING = """
WITH wanted AS (
    SELECT id AS series_id, {span} FROM series CROSS JOIN generate_series(%(start)s, %(end)s - {step}, {step}) AS {span}
), made AS ({made}), known AS (
    SELECT series_id, {span}, {columns} FROM sample_{span} WHERE {span} >= %(start)s AND {span} < %(end)s
)
SELECT series_id, {span}, made.count, known.count
FROM made FULL JOIN known USING (series_id, {span})
WHERE NOT ({agree} AND {close}) IS TRUE
    AND NOT EXISTS (
        SELECT FROM late WHERE late.series_id = COALESCE(made.series_id, known.series_id)
            AND late.hour >= COALESCE(made.{span}, known.{span})
            AND late.hour < COALESCE(made.{span}, known.{span}) + {step}
    )
ORDER BY series_id, {span}
"""


class Fault(NamedTuple):
    """A roll-up that is not what it should be."""

    span: str  # hour or day
    series_id: int
    moment: datetime
    reason: str

    def __str__(self) -> str:
        return f"series {self.series_id}, {self.span} {self.moment:%Y-%m-%d %H:%M}: {self.reason}"


def faults(start: datetime | None = None, end: datetime | None = None) -> Iterator[Fault]:
    """Each roll-up within these hours that differs from its samples, and each day from its hours, a day at a time.

    Those whose samples have expired are not looked at; what is noted as late is about to be made again.
    """
    with connection.cursor() as cursor:
        marks = watermarks.marks(cursor)
        oldest = oldest_hour(cursor, marks)
    first = max(start or oldest, oldest)
    last = marks.rolled if end is None else min(end, marks.rolled)
    day = day_of(first)
    while day < last:
        yield from _faults("hour", HOURS_MADE, max(day, first), min(day + DAY, last))
        if day + DAY <= marks.rolled:
            yield from _faults("day", DAYS_MADE, day, day + DAY)
        day += DAY


def _faults(span: str, made: str, start: datetime, end: datetime) -> Iterator[Fault]:
    statement = _DIFFERING.format(
        span=span,
        step=f"interval '{_HOURS[span]} hours'",
        made=made,
        columns=COLUMNS,
        agree=" AND ".join(f"made.{figure} = known.{figure}" for figure in _EXACT),
        close=_close_enough(span),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, {"start": start, "end": end})
        for series_id, moment, wanted, found in cursor.fetchall():
            yield Fault(span, series_id, moment, _reason(wanted, found))


def _reason(wanted: int | None, found: int | None) -> str:
    if found is None:
        return f"there is none, for {wanted} samples"
    if wanted is None:
        return f"it counts {found} samples, and there are none"
    if wanted != found:
        return f"it counts {found} samples, and there are {wanted}"
    return f"it says something else than its {wanted} samples"


def _close_enough(span: str) -> str:
    """An hour's sum is that of its samples bit for bit; of the others, the order of adding may show."""
    exact = "float8send(made.sum) = float8send(known.sum)" if span == "hour" else ""
    figures = ("m2", "increase") if span == "hour" else ("sum", "m2", "increase")
    near = [
        f"(made.{figure} = known.{figure} OR abs(made.{figure} - known.{figure}) <= 1e-9 * abs(made.{figure}))"
        for figure in figures
    ]
    return " AND ".join(filter(None, [exact, *near]))
