"""A slow and obvious reading of what statistics are, against which the database's are held."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from metering.models import Sample, Series
from metering.models.figures import FUNCTIONS, Figure
from metering.models.questions import Question, Window
from metering.models.statistics import Statistics

FIGURES = [*map(Figure, FUNCTIONS), Figure("cardinality", "resource_id")]

TINY = 1e-290  # quotients near it are zero: PostgreSQL has no floats that are less exact than the others


class Read(NamedTuple):
    """A stored sample; in this order they were read."""

    ts: datetime
    series_id: int
    message_id: Any
    volume: float
    resource_id: str
    type: str


@dataclass(frozen=True)
class Asked:
    window: Window = field(default_factory=Window)
    period: int = 0
    group: bool = False  # by resource

    def holds(self, ts: datetime) -> bool:
        start, end = self.window.start, self.window.end
        after = start is None or (ts > start if self.window.without_start else ts >= start)
        return after and (end is None or (ts <= end if self.window.with_end else ts < end))


def answer(asked: Asked, meter: str = "cpu", figures: Iterable[Figure] = FIGURES) -> list[Statistics]:
    """What the database says."""
    question = Question(equal={"meter": meter}, window=asked.window)
    groups = ["resource_id"] if asked.group else []
    return Series.objects.all().statistics(question, figures, groups, asked.period)


def samples(meter: str = "cpu") -> list[Read]:
    columns = ("ts", "series_id", "message_id", "volume", "series__resource_id", "series__type")
    return sorted(Read(*row) for row in Sample.objects.filter(series__meter=meter).values_list(*columns))


def expected(read: list[Read], asked: Asked) -> list[dict[str, Any]]:
    """What it should say, as `shown` shows it."""
    taken = [row for row in read if asked.holds(row.ts)]
    if not taken:
        return []
    base = asked.window.start or taken[0].ts
    before: dict[int, Read] = {}
    rows: dict[tuple[int, str], list[tuple[Read, Read | None]]] = defaultdict(list)
    for row in taken:
        number = (row.ts - base) // timedelta(seconds=asked.period) if asked.period else 0
        rows[number, row.resource_id if asked.group else ""].append((row, before.get(row.series_id)))
        before[row.series_id] = row
    return [_row(base, asked, number, steps) for (number, _), steps in sorted(rows.items())]


def _row(base: datetime, asked: Asked, number: int, steps: list[tuple[Read, Read | None]]) -> dict[str, Any]:
    read = [row for row, _ in steps]
    volumes = [row.volume for row in read]
    size = math.fsum(map(abs, volumes))
    pairs = [(one.volume, other.volume) for other, one in steps if one and other.type == "cumulative"]
    delta = math.fsum(new if new < old else new - old for old, new in pairs)
    seconds = (read[-1].ts - min((one or other).ts for other, one in steps)).total_seconds()
    start = base + number * timedelta(seconds=asked.period) if asked.period else read[0].ts
    cumulative = any(row.type == "cumulative" for row in read)
    return {
        "group": {"resource_id": read[0].resource_id} if asked.group else {},
        "first": read[0].ts,
        "last": read[-1].ts,
        "start": start,
        "end": start + timedelta(seconds=asked.period) if asked.period else read[-1].ts,
        "figures": {
            "avg": pytest.approx(math.fsum(volumes) / len(volumes), abs=1e-12 * size + TINY),
            "count": len(volumes),
            "delta": pytest.approx(delta, rel=1e-9, abs=1e-11 * size) if cumulative else None,
            "first": read[0].volume,
            "gap": pytest.approx(max(((row.ts - one.ts).total_seconds() for row, one in steps if one), default=0.0)),
            "last": read[-1].volume,
            "max": max(volumes),
            "min": min(volumes),
            "rate": pytest.approx(delta / seconds, rel=1e-9, abs=1e-11 * size + TINY)
            if cumulative and seconds
            else None,
            "resets": sum(new < old for old, new in pairs) if cumulative else None,
            "stddev": pytest.approx(statistics.pstdev(volumes), rel=1e-9, abs=1e-9 * size + math.sqrt(TINY)),
            "sum": pytest.approx(math.fsum(volumes), rel=0, abs=1e-12 * size),
            "cardinality/resource_id": len({row.resource_id for row in read}),
        },
    }


def shown(rows: list[Statistics], asked: Asked, figures: Iterable[Figure] = FIGURES) -> list[dict[str, Any]]:
    groups = ["resource_id"] if asked.group else []
    times = ("first", "last", "start", "end")
    return [
        {
            "group": dict(zip(groups, row.group, strict=True)),
            **{name: datetime.fromtimestamp(getattr(row, name), UTC) for name in times},
            "figures": dict(zip((figure.name for figure in figures), row.figures, strict=True)),
        }
        for row in rows
    ]
