"""The one statement that statistics are.

Django's querysets say which series and which samples; what they have no words for, the parts put together and the
steps from one to the next, is written out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from metering.models.arithmetic import mean_of
from metering.models.figures import Figure
from metering.models.parts import Cut, Parts

Compiled = tuple[str, tuple[Any, ...]]  # SQL, and what stands for its %s

_COLUMNS = "count, sum, min, max, first_at, first_volume, last_at, last_volume, m2, increase, resets, gap, message_id"
_OF_A_ROLL_UP = _COLUMNS.replace("message_id", "NULL::uuid")
_OF_A_SAMPLE = (
    "1::bigint, volume, volume, volume, ts, volume, ts, volume, 0::float8, 0::float8, 0::bigint, 0::float8, message_id"
)
_NOTED_DAY = "noted_day (series_id, day) AS (SELECT DISTINCT series_id, date_bin('1 day', hour, 'epoch') FROM noted)"
_UNNOTED = {
    "hour": "NOT EXISTS (SELECT FROM noted WHERE noted.series_id = rolled.series_id AND noted.hour = rolled.hour)",
    "day": "NOT EXISTS (SELECT FROM noted_day WHERE noted_day.series_id = rolled.series_id "
    "AND noted_day.day = rolled.day)",
}
_LONGEST = 10**11  # seconds of a period; the calendar has fewer


@dataclass(frozen=True, slots=True)
class Statement:
    """Which series, which of their samples, and what of them.

    ``series`` is compiled to (id, unit, type, then ``columns``), each of ``samples``, one for each window of
    ``parts``, to (series_id, ts, message_id, volume, then ``extras``). ``groups`` are of columns and extras.
    """

    series: Compiled
    columns: Sequence[str]
    samples: Sequence[Compiled]
    extras: Sequence[str]
    groups: Sequence[str]
    figures: Sequence[Figure]
    parts: Parts
    cut: Cut

    def text(self, *, heeding_late: bool) -> Compiled:
        """Rows of (late, first, last, unit, period, then groups and figures), by period, groups and unit.

        Times are seconds since 1970, which the driver reads in a third of the time; as floats they hold microseconds
        until 2242.

        ``late`` says that notes in ``late`` name some of this, and is there also where nothing else is. Unless they
        are heeded the rest is wrong then; heeding them takes a plan for every partition, and mostly there are none.
        """
        text = _Text()
        text.add(f"WITH chosen (series_id, unit, type{_listed(self.columns)}) AS ({self.series[0]})", *self.series[1])
        if self.parts.hours:
            self._add_noted(text)
        text.add(f", part (series_id, unit, type{_listed([*self.columns, *self.extras])}, {_COLUMNS}) AS (")
        self._add_samples(text)
        self._add_roll_ups(text, heeding_late=heeding_late)
        if heeding_late:
            self._add_late(text)
        text.add("), figured AS (")
        self._add_figures(text)
        late = "EXISTS (SELECT FROM noted)" if self.parts.hours else "false"
        order = ["period", *(f"group{place}" for place in range(len(self.groups))), "unit"]
        text.add(f") SELECT told.late, figured.* FROM (SELECT {late} AS late) AS told")
        text.add(f"LEFT JOIN figured ON true ORDER BY {', '.join(order)}")
        return "\n".join(text.sql), tuple(text.params)

    def _add_noted(self, text: _Text) -> None:
        hours = self.parts.hours
        text.add(
            ", noted AS MATERIALIZED (SELECT DISTINCT series_id, hour FROM late JOIN chosen USING (series_id) "
            "WHERE hour >= %s AND hour < %s)",
            max(hours.start, self.parts.raw_from),
            hours.end,
        )
        text.add(f", {_NOTED_DAY}")

    def _add_samples(self, text: _Text) -> None:
        extras = _listed(self.extras)
        selected = f"SELECT chosen.*{extras}, {_OF_A_SAMPLE} FROM chosen"
        for sql, params in self.samples:
            text.unite(f"{selected} JOIN ({sql}) AS read (series_id, ts, message_id, volume{extras})", *params)
            text.add("USING (series_id)")

    def _add_roll_ups(self, text: _Text, *, heeding_late: bool) -> None:
        days = [("day", self.parts.days)] if self.parts.days else []
        for span, stretch in (*days, *(("hour", edge) for edge in self.parts.edges)):
            text.unite(
                f"SELECT chosen.*, {_OF_A_ROLL_UP} FROM chosen JOIN sample_{span} AS rolled USING (series_id) "
                f"WHERE rolled.{span} >= %s AND rolled.{span} < %s",
                stretch.start,
                stretch.end,
            )
            if heeding_late:
                text.add(f"AND {_UNNOTED[span]}")

    def _add_late(self, text: _Text) -> None:
        """Of days with a note the hours without one, and of hours with one the samples."""
        hours, days = self.parts.hours, self.parts.days
        text.unite(
            f"SELECT chosen.*, {_OF_A_ROLL_UP} FROM noted_day JOIN chosen USING (series_id) "
            "JOIN sample_hour AS rolled ON rolled.series_id = chosen.series_id "
            "AND rolled.hour >= noted_day.day AND rolled.hour < noted_day.day + interval '24 hours' "
            f"WHERE noted_day.day >= %s AND noted_day.day < %s AND {_UNNOTED['hour']}",
            days.start,
            days.end,
        )
        text.unite(
            f"SELECT chosen.*, {_OF_A_SAMPLE} FROM noted JOIN chosen USING (series_id) "
            "JOIN sample ON sample.series_id = chosen.series_id "
            "AND ts >= noted.hour AND ts < noted.hour + interval '1 hour' AND ts >= %s AND ts < %s",
            hours.start,
            hours.end,
        )

    def _add_figures(self, text: _Text) -> None:
        groups = [f"{column} AS group{place}" for place, column in enumerate(self.groups)]
        figures = [f"{figure.sql} AS figure{place}" for place, figure in enumerate(self.figures)]
        keys = [*self.groups, "unit", "period"]
        times = {"first": "min(first_at)", "last": "max(last_at)", "period": "period"}
        first, last, period = (f"date_part('epoch', {time}) AS {name}" for name, time in times.items())
        shown = [first, last, "unit", period, *groups, *figures]
        text.add(f"SELECT {', '.join(shown)} FROM (SELECT *")
        if any(figure.needs_neighbours for figure in self.figures):
            window = "OVER (PARTITION BY series_id ORDER BY first_at, message_id)"
            text.add(f", lag(last_volume) {window} AS before, lag(last_at) {window} AS before_at")
        if any(figure.needs_mean for figure in self.figures):
            row = f"OVER (PARTITION BY {', '.join(keys)})"
            text.add(f", {mean_of(f'sum(sum) {row}', f'sum(count) {row}')} AS mean")
        text.add("FROM (SELECT part.*,")
        self._add_period(text)
        text.add(f"AS period FROM part) AS placed) AS stepped GROUP BY {', '.join(keys)}")

    def _add_period(self, text: _Text) -> None:
        if not self.cut.period:
            text.add("NULL::timestamptz")
            return
        text.add("date_bin(make_interval(secs => %s), first_at,", min(self.cut.period, _LONGEST))
        if self.cut.start is None:
            text.add("(SELECT min(first_at) FROM part))")
        else:
            text.add("%s)", self.cut.start)


@dataclass(slots=True)
class _Text:
    """SQL as it grows, with its parameters in their places."""

    sql: list[str] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)
    _united: bool = False

    def add(self, sql: str, *params: object) -> None:
        self.sql.append(sql)
        self.params += params

    def unite(self, sql: str, *params: object) -> None:
        """Add a further part of a union."""
        self.add(f"UNION ALL {sql}" if self._united else sql, *params)
        self._united = True


def _listed(names: Sequence[str]) -> str:
    return "".join(f", {name}" for name in names)
