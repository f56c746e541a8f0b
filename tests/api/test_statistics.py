from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.counters import Counter, Kind
from tests.api import asking
from tests.factories import at, reading, store

pytestmark = pytest.mark.django_db

PATH = "/v2/meters/cpu/statistics"


def iso(seconds: float) -> str:
    return at(seconds).replace(tzinfo=None).isoformat()


def between(start: float, end: float) -> list[tuple[str, ...]]:
    return [("timestamp", iso(start), "ge"), ("timestamp", iso(end), "lt")]


def test_the_figures_of_a_meter_are_shown_as_clients_know_them() -> None:
    store(reading(1, 0), reading(2, 60), reading(6, 90.5))
    assert asking.admin().ask(PATH) == [
        {
            "groupby": None,
            "unit": "ns",
            "period": 0,
            "period_start": iso(0),
            "period_end": iso(90.5),
            "duration": 90.5,
            "duration_start": iso(0),
            "duration_end": iso(90.5),
            "avg": 3.0,
            "sum": 9.0,
            "count": 3,
            "min": 1.0,
            "max": 6.0,
        }
    ]


def test_a_meter_of_two_units_gives_two_rows() -> None:
    store(reading(1), reading(2, unit="s"))
    assert [(row["unit"], row["sum"]) for row in asking.admin().ask(PATH)] == [("ns", 1), ("s", 2)]


def test_periods_begin_at_the_first_sample_and_do_not_hold_their_end() -> None:
    store(reading(1, 7), reading(2, 66.999999), reading(4, 67), reading(8, 187), reading(9, 0, meter="vcpus"))
    rows = asking.admin().ask(PATH, period=60)
    assert [(row["period_start"], row["period_end"], row["sum"]) for row in rows] == [
        (iso(7), iso(67), 3),
        (iso(67), iso(127), 4),
        (iso(187), iso(247), 8),
    ]
    assert {row["period"] for row in rows} == {60}


def test_periods_begin_at_the_lower_bound_where_there_is_one() -> None:
    store(reading(1, 7), reading(2, 60), reading(4, 120))
    rows = asking.admin().ask(PATH, ("timestamp", iso(-30), "gt"), ("timestamp", iso(90), "le"), period=60)
    assert [(row["period_start"], row["sum"]) for row in rows] == [(iso(-30), 1), (iso(30), 2)]
    assert rows[-1]["period_end"] == iso(90)


def test_a_sample_at_the_very_end_belongs_to_the_period_that_begins_there() -> None:
    store(reading(1, 0), reading(2, 60))
    rows = asking.admin().ask(PATH, ("timestamp", iso(0), "ge"), ("timestamp", iso(60), "le"), period=60)
    assert [(row["period_start"], row["sum"]) for row in rows] == [(iso(0), 1), (iso(60), 2)]


def test_a_single_instant_is_a_period_too() -> None:
    store(reading(5, 30))
    [row] = asking.admin().ask(PATH, period=3600)
    assert (row["period_start"], row["period_end"], row["duration"], row["count"]) == (iso(30), iso(3630), 0, 1)


def test_samples_of_the_search_offset_count_but_the_duration_stays_in_the_window() -> None:
    store(reading(1, -30), reading(2, 30), reading(4, 90))
    [row] = asking.admin().ask(PATH, *between(0, 60), ("search_offset", "1"))
    assert row["sum"] == 7
    assert (row["duration_start"], row["duration_end"], row["duration"]) == (iso(0), iso(60), 60)
    assert (row["period_start"], row["period_end"]) == (iso(-30), iso(90))


def test_samples_that_all_lie_outside_the_window_have_no_duration() -> None:
    store(reading(1, -30))
    [row] = asking.admin().ask(PATH, *between(0, 60), ("search_offset", "1"))
    assert row["count"] == 1
    assert (row["duration_start"], row["duration_end"], row["duration"]) == (None, None, None)


def test_groups() -> None:
    store(
        reading(1, 0, user="sam", metadata={"instance_type": "m1.tiny"}),
        reading(2, 0, resource="web-2", project="blue", metadata={"instance_type": "m1.large"}),
        reading(4, 60),
        reading(8, 60, user=None, resource="web-2", project="blue"),
    )
    asker = asking.admin()

    def sums(*groups: str) -> dict[tuple[str | None, ...], float]:
        rows = asker.ask(PATH, groupby=groups)
        assert all(tuple(row["groupby"]) == tuple(dict.fromkeys(groups)) for row in rows)
        return {tuple(row["groupby"].values()): row["sum"] for row in rows}

    assert sums("user_id") == {("ruth",): 6, ("sam",): 1, (None,): 8}
    assert sums("resource_id") == {("web-1",): 5, ("web-2",): 10}
    assert sums("project_id", "project_id") == {("red",): 5, ("blue",): 10}
    assert sums("source") == {("openstack",): 15}
    assert sums("resource_metadata.instance_type") == {("m1.tiny",): 1, ("m1.large",): 2, (None,): 12}
    assert sums("resource_id", "user_id") == {
        ("web-1", "ruth"): 4,
        ("web-1", "sam"): 1,
        ("web-2", "ruth"): 2,
        ("web-2", None): 8,
    }


def test_periods_of_groups_come_by_time_and_begin_together() -> None:
    store(reading(1, 10, resource="b"), reading(2, 5, resource="a"), reading(4, 70, resource="a"))
    rows = asking.admin().ask(PATH, period=60, groupby="resource_id")
    assert [(row["period_start"], row["groupby"]["resource_id"], row["sum"]) for row in rows] == [
        (iso(5), "a", 2),
        (iso(5), "b", 1),
        (iso(65), "a", 4),
    ]


def test_selected_figures_are_shown_as_aggregates_and_the_other_plain_ones_are_left_out() -> None:
    store(reading(1), reading(3, 60, resource="web-2"))
    functions = ["cardinality", "max", "stddev", "count", "max"]
    [row] = asking.admin().ask(PATH, aggregate__func=functions, aggregate__param="resource_id")
    assert row["aggregate"] == {"cardinality/resource_id": 2.0, "max": 3.0, "stddev": 1.0, "count": 2.0}
    assert {name: row[name] for name in ("max", "count")} == {"max": 3.0, "count": 2}
    assert not {"avg", "sum", "min", "stddev", "cardinality"} & row.keys()


def test_selected_parameters_belong_to_the_first_functions() -> None:
    store(reading(1), reading(3, 60, resource="web-2"))
    functions, params = ["cardinality", "cardinality", "max"], ["resource_id", "user_id"]
    [row] = asking.admin().ask(PATH, aggregate__func=functions, aggregate__param=params)
    assert row["aggregate"] == {"cardinality/resource_id": 2.0, "cardinality/user_id": 1.0, "max": 3.0}


def test_figures_beyond_the_original_s_are_aggregates_only() -> None:
    store(reading(10, 0), reading(16, 60), reading(4, 120), reading(5, 720))
    functions = ["percentile", "percentile", "delta", "rate", "resets", "gap", "first", "last"]
    [row] = asking.admin().ask(PATH, aggregate__func=functions, aggregate__param=["50", "12.5"])
    assert row["aggregate"] == {
        "percentile/50": 7.5,
        "percentile/12.5": pytest.approx(4.375),
        "delta": 11.0,
        "rate": pytest.approx(11 / 720),
        "resets": 1.0,
        "gap": 600.0,
        "first": 10.0,
        "last": 5.0,
    }
    assert not {"delta", "first", "sum"} & row.keys()


def test_a_parameter_may_stand_behind_its_function() -> None:
    store(reading(10), reading(16, 60), reading(4, 120, resource="web-2"))
    functions = ["percentile/50", "cardinality/resource_id", "percentile/99.5", "rate"]
    [row] = asking.admin().ask(PATH, aggregate__func=functions)
    assert row["aggregate"] == {
        "percentile/50": 10.0,
        "cardinality/resource_id": 2.0,
        "percentile/99.5": pytest.approx(15.94),
        "rate": pytest.approx(0.05),
    }


def test_a_figure_that_has_no_meaning_is_null() -> None:
    store(reading(10, 0, kind=Kind.GAUGE), reading(16, 60, kind=Kind.GAUGE))
    [row] = asking.admin().ask(PATH, aggregate__func=["delta", "rate", "gap"])
    assert row["aggregate"] == {"delta": None, "rate": None, "gap": 60.0}


def test_deltas_of_periods_add_up_to_that_of_all() -> None:
    store(*(reading(volume, 50 * place) for place, volume in enumerate((5, 9, 20, 3, 4))))
    rows = asking.admin().ask(PATH, period=60, aggregate__func="delta")
    assert [row["aggregate"]["delta"] for row in rows] == [4, 11, 3, 1]


def test_samples_can_be_grouped_by_any_metadata() -> None:
    flavor = {"flavor": {"name": "m1.tiny", "vcpus": 1}, "100%": "yes"}
    store(reading(1, 0, metadata=flavor), reading(2, 60, metadata={"flavor": "none"}), reading(4, 120))
    asker = asking.admin()
    for group in ("resource_metadata.flavor.name", "metadata.flavor.name"):
        rows = asker.ask(PATH, groupby=[group, "project_id"])
        assert [(row["groupby"], row["sum"]) for row in rows] == [
            ({group: "m1.tiny", "project_id": "red"}, 1),
            ({group: None, "project_id": "red"}, 6),
        ]
    assert [row["sum"] for row in asker.ask(PATH, groupby="metadata.100%")] == [1, 6]


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("period=-1", 400, "Period must be positive."),
        ("period=x", 400, "Invalid input for field/attribute period. Value: 'x'. unable to convert to int"),
        ("period=1&period=2", 400, "Invalid input for field/attribute period."),
        ("period=100000000000000", 400, "Invalid period 100000000000000: "),
        ("period=1000000000000", 400, "Invalid period 1000000000000: "),
        ("period=" + "9" * 4_000, 400, "Invalid period 999"),
        ("groupby=wrong", 400, 'Unknown argument: "wrong": Invalid groupby fields'),
        ("groupby=user_id&groupby=volume", 400, 'Unknown argument: "volume": Invalid groupby fields'),
        ("aggregate=max", 400, 'Unknown argument: "aggregate"'),
        ("limit=1", 400, 'Unknown argument: "limit"'),
        ("aggregate.func=wrong", 501, "Selectable aggregate function wrong is not supported"),
        ("aggregate.func=cardinality", 400, "Bad aggregate: cardinality.None"),
        ("aggregate.func=cardinality&aggregate.param=", 400, "Bad aggregate: cardinality.None"),
        ("aggregate.func=cardinality&aggregate.param=wrong", 400, "Bad aggregate: cardinality.wrong"),
        ("aggregate.func=percentile", 400, "Bad aggregate: percentile.None"),
        ("aggregate.func=percentile&aggregate.param=101", 400, "Bad aggregate: percentile.101"),
        ("aggregate.func=percentile&aggregate.param=nan", 400, "Bad aggregate: percentile.nan"),
        ("aggregate.func=percentile/101", 400, "Bad aggregate: percentile.101"),
        ("aggregate.func=percentile/", 400, "Bad aggregate: percentile.None"),
        ("aggregate.func=max/95", 400, "Bad aggregate: max/95"),
        ("aggregate.func=percentile/95&aggregate.param=50", 400, "Bad aggregate: percentile/95.50"),
        ("aggregate.func=percentile/95/5", 400, "Bad aggregate: percentile.95/5"),
        ("groupby=metadata.", 400, 'Unknown argument: "metadata.": Invalid groupby fields'),
        ("aggregate.param=user_id", 400, 'Unknown argument: "aggregate.param"'),
        ("q.field=wrong&q.value=1", 400, 'Unknown argument: "wrong": unrecognized field in query'),
    ],
)
def test_what_cannot_be_counted_is_refused_with_the_reason(query: str, status: int, text: str) -> None:
    store(reading())
    got = asking.admin().refusal(f"{PATH}?{query}")
    assert (got[0], got[1][: len(text)]) == (status, text)


def test_volumes_too_large_to_be_added_up_are_a_refusal() -> None:
    store(reading(1.7e308), reading(1.7e308, 60))
    assert asking.admin().refusal(PATH) == (400, "The volumes are too large to be added up")


# A slow, obvious reading of the rules, against which the database's is held.


@dataclass(frozen=True)
class Asked:
    start: int | None
    start_op: str
    end: int | None
    end_op: str
    offset: int  # minutes
    period: int
    group: bool

    @property
    def clauses(self) -> list[tuple[str, ...]]:
        clauses: list[tuple[str, ...]] = []
        if self.start is not None:
            clauses.append(("timestamp", iso(self.start), self.start_op))
        if self.end is not None:
            clauses.append(("timestamp", iso(self.end), self.end_op))
        if clauses and self.offset:
            clauses.append(("search_offset", str(self.offset)))
        return clauses

    @property
    def lower(self) -> float:
        return -math.inf if self.start is None else self.start - 60 * self.offset

    @property
    def upper(self) -> float:
        return math.inf if self.end is None else self.end + 60 * self.offset

    def holds(self, second: float) -> bool:
        after = second > self.lower or (second == self.lower and self.start_op == "ge")
        return after and (second < self.upper or (second == self.upper and self.end_op == "le"))


def seconds_of(counter: Counter) -> float:
    assert counter.timestamp is not None
    return (counter.timestamp - at(0)) / timedelta(seconds=1)


def expected(counters: Sequence[Counter], asked: Asked) -> list[dict[str, Any]]:
    taken = [(second, counter) for counter in counters if asked.holds(second := seconds_of(counter))]
    taken.sort(key=lambda pair: pair[0])
    if not taken:
        return []
    base = taken[0][0] if asked.start is None else asked.lower
    rows = defaultdict(list)
    for second, counter in taken:
        bucket = math.floor((second - base) / asked.period) if asked.period else 0
        rows[bucket, counter.resource_id if asked.group else "", counter.unit].append((second, counter.volume))
    return [row_of(key, readings, base, asked) for key, readings in sorted(rows.items())]


def row_of(key: tuple[int, str, str], readings: list[tuple[float, float]], base: float, asked: Asked) -> dict[str, Any]:
    bucket, group, unit = key
    volumes = [volume for _, volume in readings]
    first, last = readings[0][0], readings[-1][0]
    start, end = (base + bucket * asked.period, base + (bucket + 1) * asked.period) if asked.period else (first, last)
    first = first if asked.start is None else max(first, asked.start)
    last = last if asked.end is None else min(last, asked.end)
    valid = first <= last
    return {
        "groupby": {"resource_id": group} if asked.group else None,
        "unit": unit,
        "period": asked.period,
        "period_start": iso(start),
        "period_end": iso(end),
        "duration": last - first if valid else None,
        "duration_start": iso(first) if valid else None,
        "duration_end": iso(last) if valid else None,
        "count": len(volumes),
        "max": max(volumes),
        "aggregate": {
            "count": len(volumes),
            "max": max(volumes),
            "min": min(volumes),
            "sum": pytest.approx(math.fsum(volumes)),
            "avg": pytest.approx(statistics.fmean(volumes)),
            "stddev": pytest.approx(statistics.pstdev(volumes), abs=1e-6),
        },
    }


COUNTERS = st.builds(
    reading,
    volume=st.integers(-1000, 1000).map(lambda number: number / 8),
    seconds=st.integers(-40, 40).map(lambda number: number * 7.5),
    resource=st.sampled_from(["web-1", "web-2"]),
    unit=st.sampled_from(["ns", "s"]),
)
EXAMPLES = itertools.count()
BOUND = st.none() | st.integers(-20, 20).map(lambda number: number * 15)
ASKED = st.builds(
    Asked,
    start=BOUND,
    start_op=st.sampled_from(["ge", "gt"]),
    end=BOUND,
    end_op=st.sampled_from(["le", "lt"]),
    offset=st.integers(0, 2),
    period=st.sampled_from([0, 1, 15, 60, 100]),
    group=st.booleans(),
)


@given(counters=st.lists(COUNTERS, max_size=12), asked=ASKED)
@settings(
    max_examples=60,
    deadline=None,  # a database answers when it answers
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example has a source of its own
)
def test_statistics_are_what_a_slow_and_obvious_program_says(counters: list[Counter], asked: Asked) -> None:
    distinct = list({(counter.timestamp, counter.resource_id, counter.unit): counter for counter in counters}.values())
    source = f"example {next(EXAMPLES)}"
    store(*distinct, source=source)
    functions = ["count", "max", "min", "sum", "avg", "stddev"]
    rows = asking.admin().ask(
        PATH,
        *asked.clauses,
        ("source", source),
        period=asked.period,
        groupby=["resource_id"] if asked.group else [],
        aggregate__func=functions,
    )
    shown = [{name: row[name] for name in row if name not in ("min", "sum", "avg")} for row in rows]
    assert shown == expected(distinct, asked)
