"""Figures over many samples, made by the database in one grouped statement: of roll-ups where they tell the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import EmptyResultSet
from django.db import DataError, connection
from django.db.models import F, Func, QuerySet, TextField, Value

from metering.models.figures import Figure
from metering.models.parts import Cut, Parts, split
from metering.models.questions import Question, Window
from metering.models.statement import Compiled, Statement

if TYPE_CHECKING:
    from metering.models.ledger import Series  # named in an annotation

GROUPS = ("project_id", "resource_id", "source", "user_id")
METADATA = ("resource_metadata.", "metadata.")  # before a dotted key: grouped by what each sample's metadata says there


class Statistics(NamedTuple):
    """Figures of the samples of one unit, in one group and one period of time.

    Groups and figures are in the order in which they were asked for, each once. Times are seconds since 1970: there
    are many rows, of which most times are never looked at as such.
    """

    unit: str
    group: tuple[str | None, ...]
    figures: tuple[float | None, ...]  # None has no meaning: delta, rate and resets of a meter that is not cumulative
    first: float  # when the first of them was read
    last: float
    start: float  # of the period; without periods, as `first`
    end: float  # just after the period; without periods, as `last`


def is_group(name: str) -> bool:
    """Whether samples can be grouped by this."""
    return name in GROUPS or _metadata_key(name) is not None


def add_up(
    series: QuerySet[Series], question: Question, figures: Iterable[Figure], group_by: Sequence[str], period: int
) -> list[Statistics]:
    """See `SeriesQuerySet.statistics`."""
    groups, wanted = list(dict.fromkeys(group_by)), list(dict.fromkeys(figures))
    cut = Cut(period, question.window.lower)
    try:
        statement = _statement(series, question, wanted, groups, cut)
        rows = _rows(statement, heeding_late=False)
        if rows and rows[0][0]:
            rows = _rows(statement, heeding_late=True)
    except EmptyResultSet:
        return []
    found = [_statistics(row, len(groups), period) for row in rows if row[1] is not None]
    if found:
        datetime.fromtimestamp(found[-1].start, UTC) + timedelta(seconds=period)  # it may be beyond the calendar
    return found


def _statement(
    series: QuerySet[Series], question: Question, figures: list[Figure], groups: list[str], cut: Cut
) -> Statement:
    keys = {name: f"extra{place}" for place, name in enumerate(groups) if name not in GROUPS}
    counted = {figure.counted for figure in figures if figure.counted}
    columns = sorted({name for name in groups if name in GROUPS} | counted)
    samples_only = keys or question.metadata or question.message_id or any(figure.needs_samples for figure in figures)
    parts = Parts((question.window,)) if samples_only else _parts(question.window, cut)
    return Statement(
        series=_compiled(series.order_by().values_list("id", "unit", "type", *columns)),
        columns=columns,
        samples=list(_samples(question, parts, keys)),
        extras=list(keys.values()),
        groups=[keys.get(name, name) for name in groups],
        figures=figures,
        parts=parts,
        cut=cut,
    )


def _parts(window: Window, cut: Cut) -> Parts:
    """The marks are read before the statement: they only move forward, so what they say of roll-ups stays true."""
    from metering.models.watermarks import RollupState  # noqa: PLC0415  # it imports this module

    marks = RollupState.objects.values_list("rolled", "raw_from").first()
    return Parts((window,)) if marks is None else split(window, cut, *marks)


def _samples(question: Question, parts: Parts, keys: dict[str, str]) -> Iterator[Compiled]:
    from metering.models.ledger import Sample  # noqa: PLC0415  # it imports this module

    told = {alias: _told(_metadata_key(name) or "") for name, alias in keys.items()}
    for window in parts.samples:
        samples = Sample.objects.matching(replace(question, equal={}, window=window))
        yield _compiled(samples.annotate(**told).values_list("series_id", "ts", "message_id", "volume", *told))


def _metadata_key(name: str) -> str | None:
    return next((name[len(prefix) :] for prefix in METADATA if name.startswith(prefix) and name != prefix), None)


def _told(key: str) -> Any:
    """What the metadata says under a dotted key, as text."""
    # A path of texts: Django's own transforms take a name that is a number for a place in a list.
    path = Value(key.split("."), output_field=ArrayField(TextField()))
    return Func(
        F("metadata__document"), path, template="(%(expressions)s)", arg_joiner=" #>> ", output_field=TextField()
    )


def _compiled(query: QuerySet[Any, Any]) -> Compiled:
    sql, params = query.query.sql_with_params()
    return sql, tuple(params)


def _rows(statement: Statement, *, heeding_late: bool) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(*statement.text(heeding_late=heeding_late))
        return list(cursor.fetchall())


def _statistics(row: tuple[Any, ...], groups: int, period: int) -> Statistics:
    _late, first, last, unit, start = row[:5]
    figures = row[5 + groups :]
    if inf in figures:
        raise DataError("an hour whose samples have expired held volumes too large to be added up")
    end = last if start is None else start + period
    return Statistics(unit, row[5 : 5 + groups], figures, first, last, first if start is None else start, end)
