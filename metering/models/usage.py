"""What a bill is made of: for each period how much of what was used, hour by hour, of roll-ups wherever they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Q

from metering.identity import EPOCH
from metering.models.access import Caller
from metering.models.ledger import Series
from metering.models.questions import Question
from metering.models.watermarks import RollupState

PERIODS = ("day", "month")  # of the calendar, in UTC
GROUPS = ("project_id", "resource_id", "user_id")
FLAVOR = "instance:"  # before a flavor's name: the meter of an instance of it
BEFORE = timedelta(days=1)  # looked at before the first hour, for how far a counter has risen since


class Use(NamedTuple):
    """One kind of use: what is counted of which meters, and how often it goes into the unit."""

    name: str
    meters: tuple[str, ...]
    counts: str  # hours; volumes (of each hour the mean, added up); growth
    unit: str
    divisor: float = 1


USES = (
    Use("cpu", ("cpu",), "growth", "s", 1e9),
    Use("floating_ip", ("ip.floating",), "hours", "h"),
    Use("image", ("image.size",), "volumes", "GiB h", 2**30),
    Use("instance", (), "hours", "h"),
    Use("network_in", ("network.incoming.bytes",), "growth", "B"),
    Use("network_out", ("network.outgoing.bytes",), "growth", "B"),
    Use("snapshot", ("snapshot.size", "volume.snapshot.size"), "volumes", "GiB h"),
    Use("volume", ("volume.size",), "volumes", "GiB h"),
)
_BY_NAME = {use.name: use for use in USES}
_NAMES = {meter: use.name for use in USES for meter in use.meters}
_GROWING = tuple(meter for use in USES if use.counts == "growth" for meter in use.meters)


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of one kind a group used in one period."""

    start: datetime  # of the period
    end: datetime
    group: dict[str, str | None]
    use: Use
    flavor: str | None  # of instances
    amount: float  # in the use's unit
    resources: int
    hours: int  # of all of them, in which there was a sample
    gap_hours: int  # between the first and the last of these, of each resource, in which there was none


@dataclass(frozen=True, slots=True)
class Span:
    """Full hours: from ``start`` to before ``end``."""

    start: datetime
    end: datetime


def usage(caller: Caller, question: Question, span: Span, period: str, groups: Sequence[str]) -> list[Usage]:
    """By period, group, kind and flavor. Two statements. Of the question only what it says of series counts.

    Raises Django's DataError where volumes are too large to be added up.
    """
    metered = Q(meter__in=_NAMES) | Q(meter__startswith=FLAVOR)
    series = Series.objects.visible_to(caller).of(question.equal).filter(metered)
    series = series.exclude(~Q(type="cumulative"), meter__in=_GROWING)
    try:
        chosen = series.order_by().values_list("id", "meter", "resource_id", *groups).query.sql_with_params()
    except EmptyResultSet:
        return []
    marks = RollupState.objects.values_list("rolled", "raw_from").first()
    with connection.cursor() as cursor:
        cursor.execute(*_statement(chosen, span, period, groups, *(marks or (EPOCH, EPOCH))))
        return [_usage(row, period, groups) for row in cursor.fetchall()]


def _usage(row: Sequence[Any], period: str, groups: Sequence[str]) -> Usage:
    start, kind, flavor, hours, volumes, growth, resources, gaps, *values = row
    use = _BY_NAME[kind]
    amount = {"hours": hours, "volumes": volumes, "growth": growth}[use.counts]
    group = dict(zip(groups, values, strict=True))
    told = float(amount) / use.divisor
    return Usage(start, _end(start, period), group, use, flavor, told, resources, int(hours), int(gaps))


def _end(start: datetime, period: str) -> datetime:
    return start + timedelta(days=1) if period == "day" else (start + timedelta(days=32)).replace(day=1)


def _statement(
    chosen: tuple[str, tuple[Any, ...]],
    span: Span,
    period: str,
    groups: Sequence[str],
    rolled: datetime,
    raw_from: datetime,
) -> tuple[str, dict[str, Any]]:
    """What is wanted, and what stands for its %(names)s."""
    columns = "".join(f", {column}" for column in _columns(groups))
    kinds = "".join(f"WHEN '{meter}' THEN '{name}' " for meter, name in _NAMES.items())
    first = span.start - BEFORE
    sql, given = chosen
    values = {f"chosen{place}": value for place, value in enumerate(given)}
    sql = sql % tuple(f"%({name})s" for name in values)
    values |= {
        "period": period,
        "start": span.start,
        "first": first,
        "end": span.end,
        "rolled": max(first, min(rolled, span.end)),
        "raw_from": max(first, raw_from),
        "flavor": len(FLAVOR) + 1,
    }
    text = f"""
    WITH told (series_id, meter, resource_id{columns}) AS ({sql}),
    named AS (
        SELECT series_id, resource_id{columns}, CASE meter {kinds}ELSE 'instance' END AS kind,
            CASE WHEN meter NOT IN %(meters)s THEN substr(meter, %(flavor)s) END AS flavor FROM told),
    chosen AS (SELECT *, dense_rank() OVER (ORDER BY resource_id, kind, flavor{columns}) AS thing FROM named),
    noted AS MATERIALIZED (
        SELECT DISTINCT series_id, hour FROM late JOIN chosen USING (series_id)
        WHERE hour >= %(raw_from)s AND hour < %(rolled)s),
    read AS (
        SELECT series_id, ts, message_id, volume FROM sample JOIN chosen USING (series_id)
        WHERE ts >= %(rolled)s AND ts < %(end)s
        UNION ALL
        SELECT series_id, ts, message_id, volume FROM noted JOIN sample USING (series_id)
        WHERE ts >= noted.hour AND ts < noted.hour + interval '1 hour' AND ts >= %(raw_from)s AND ts < %(rolled)s),
    stepped AS (
        SELECT *, lag(volume) OVER (PARTITION BY series_id, hour ORDER BY ts, message_id) AS before
        FROM (SELECT *, date_bin('1 hour', ts, timestamptz 'epoch') AS hour FROM read) AS placed),
    hourly AS (
        SELECT series_id, hour, count, sum, first_volume, last_volume, increase
        FROM chosen JOIN sample_hour AS hours USING (series_id) WHERE hour >= %(first)s AND hour < %(rolled)s
        AND NOT EXISTS (SELECT FROM noted WHERE noted.series_id = hours.series_id AND noted.hour = hours.hour)
        UNION ALL
        SELECT series_id, hour, count(*), sum(volume), (array_agg(volume ORDER BY ts, message_id))[1],
            (array_agg(volume ORDER BY ts DESC, message_id DESC))[1],
            sum(CASE WHEN volume < before THEN volume ELSE volume - COALESCE(before, volume) END)
        FROM stepped GROUP BY series_id, hour),
    grown AS (
        SELECT *, lag(last_volume) OVER (PARTITION BY series_id ORDER BY hour) AS before FROM hourly),
    used AS (
        SELECT thing, hour, sum(sum) / sum(count) AS mean,
            sum(increase + CASE WHEN first_volume < before THEN first_volume
                ELSE first_volume - COALESCE(before, first_volume) END) AS growth
        FROM grown JOIN chosen USING (series_id) WHERE hour >= %(start)s GROUP BY thing, hour),
    of_thing AS (
        SELECT thing, date_trunc(%(period)s, hour, 'UTC') AS period,
            count(*) AS hours, sum(mean) AS volumes, sum(growth) AS growth,
            extract(epoch FROM max(hour) - min(hour)) / 3600 + 1 - count(*) AS gaps
        FROM used GROUP BY thing, period)
    SELECT period, kind, flavor, sum(hours), sum(volumes), sum(growth), count(*), sum(gaps){columns}
    FROM of_thing JOIN (SELECT DISTINCT thing, kind, flavor{columns} FROM chosen) AS things USING (thing)
    GROUP BY period, kind, flavor{columns}
    ORDER BY period{columns}, kind, flavor
    """
    return text, {**values, "meters": tuple(_NAMES)}


def _columns(groups: Sequence[str]) -> list[str]:
    return [f"group{place}" for place in range(len(groups))]
