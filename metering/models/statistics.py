"""Figures over many samples, made by the database in one grouped query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Aggregate, Avg, Count, F, Max, Min, StdDev, Subquery, Sum, Value
from django.db.models.fields.json import KeyTextTransform

if TYPE_CHECKING:
    from metering.models.ledger import Sample  # named in an annotation

FUNCTIONS: dict[str, Aggregate] = {
    "avg": Avg("volume"),
    "count": Count("volume"),
    "max": Max("volume"),
    "min": Min("volume"),
    "stddev": StdDev("volume"),  # of the population, not of a sample of it
    "sum": Sum("volume"),
}
STANDARD = ("avg", "sum", "count", "min", "max")
COUNTABLE = ("project_id", "resource_id", "user_id")  # what cardinality counts the distinct ones of

_INSTANCE_TYPE = "resource_metadata.instance_type"
GROUPS: dict[str, Any] = {
    "project_id": F("series__project_id"),
    "resource_id": F("series__resource_id"),
    _INSTANCE_TYPE: KeyTextTransform("instance_type", "metadata__document"),
    "source": F("series__source"),
    "user_id": F("series__user_id"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure asked for: a function of `FUNCTIONS`, or ``cardinality`` of a ``param`` of `COUNTABLE`."""

    function: str
    param: str | None = None

    @property
    def name(self) -> str:
        return f"{self.function}/{self.param}" if self.param else self.function

    @property
    def is_standard(self) -> bool:
        return self.function in STANDARD

    @property
    def expression(self) -> Aggregate:
        if self.function == "cardinality":
            return Count(f"series__{self.param}", distinct=True)
        return FUNCTIONS[self.function]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of the samples of one unit, in one group and one period of time."""

    unit: str
    group: dict[str, str | None]
    figures: dict[Figure, float]
    first: datetime  # when the first of them was read
    last: datetime
    start: datetime  # of the period; without periods, as `first`
    end: datetime  # just after the period; without periods, as `last`


class _Div(models.Func):
    """Whole times that one number goes into another, exactly."""

    function = "DIV"
    output_field = models.DecimalField()


class _Seconds(models.Func):
    """An interval in seconds, with its microseconds."""

    template = "EXTRACT(EPOCH FROM %(expressions)s)"
    output_field = models.DecimalField()


def add_up(
    samples: models.QuerySet[Sample],
    figures: Iterable[Figure],
    group_by: Sequence[str],
    period: int,
    start: datetime | None,
) -> list[Statistics]:
    """See `SampleQuerySet.statistics`."""
    wanted = {f"figure{place}": figure for place, figure in enumerate(dict.fromkeys(figures))}
    groups = {f"group{place}": name for place, name in enumerate(group_by)}
    keys: dict[str, Any] = {alias: GROUPS[name] for alias, name in groups.items()}
    keys |= _period_keys(samples, period, start) if period else {}
    rows = (
        samples.order_by()
        .annotate(**keys)
        .values(*keys, "series__unit")
        .annotate(
            first=Min("ts"),
            last=Max("ts"),
            **{alias: figure.expression for alias, figure in wanted.items()},
        )
        .order_by(*(["period_number"] if period else []), *groups, "series__unit")
    )
    return [_statistics(row, wanted, groups, period) for row in rows]


def _period_keys(samples: models.QuerySet[Sample], period: int, start: datetime | None) -> dict[str, Any]:
    """What tells the periods apart: where the first begins, and the number of each since then."""
    moment = models.DateTimeField()
    first: Any = Subquery(samples.order_by("ts").values("ts")[:1]) if start is None else Value(start, moment)
    seconds = _Seconds(F("ts") - F("base"))
    return {
        "base": models.ExpressionWrapper(first, output_field=moment),
        "period_number": _Div(seconds, Value(period, models.DecimalField())),
    }


def _statistics(row: dict[str, Any], wanted: dict[str, Figure], groups: dict[str, str], period: int) -> Statistics:
    start, end = row["first"], row["last"]
    if period:
        start = row["base"] + timedelta(seconds=period * int(row["period_number"]))
        end = start + timedelta(seconds=period)
    return Statistics(
        unit=row["series__unit"],
        group={name: row[alias] for alias, name in groups.items()},
        figures={figure: row[alias] for alias, figure in wanted.items()},
        first=row["first"],
        last=row["last"],
        start=start,
        end=end,
    )
