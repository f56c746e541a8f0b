from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.counters import Counter, Kind
from metering.store import rollups
from tests.api import asking
from tests.factories import NOON, at, reading, store

pytestmark = pytest.mark.django_db

HOUR = 3_600


def iso(seconds: float) -> str:
    return at(seconds).replace(tzinfo=None).isoformat()


def between(start: float, end: float) -> list[tuple[str, ...]]:
    return [("timestamp", iso(start), "ge"), ("timestamp", iso(end), "lt")]


DAY = between(-12 * HOUR, 12 * HOUR)


def gauge(volume: float, hours: float, meter: str, resource: str, **about: Any) -> Counter:
    return reading(volume, hours * HOUR, meter=meter, resource=resource, kind=Kind.GAUGE, **about)


def filled() -> None:
    """A day: an instance of 3 hours with one hour missing, resized; a volume that grew; a counter that fell."""
    store(
        *(gauge(1, hour, "instance:m1.small", "web-1") for hour in (0, 0.5, 1, 3)),
        *(gauge(1, hour, "instance:m1.large", "web-1") for hour in (4, 5)),
        gauge(1, 1, "instance:m1.small", "db-1", project="blue"),
        *(gauge(volume, hour, "volume.size", "disk", unit="GiB") for hour, volume in ((0, 10), (0.5, 20), (1, 20))),
        gauge(2**30, 0.1, "image.size", "image", unit="B"),
        *(reading(volume, hour * HOUR, meter="network.outgoing.bytes", unit="B", resource="port")
          for hour, volume in ((0, 100), (0.5, 150), (1, 250), (2, 30), (2.2, 70))),
        gauge(1, 2, "ip.floating", "ip", project="blue"),
        gauge(7, 2, "memory.usage", "web-1"),
    )  # fmt: skip


EXPECTED = [
    ("red", "image", None, 1.0, "GiB h", 1, 1, 0),
    ("red", "instance", "m1.large", 2.0, "h", 1, 2, 0),
    ("red", "instance", "m1.small", 3.0, "h", 1, 3, 1),
    ("red", "network_out", None, 50 + 100 + 30 + 40, "B", 1, 3, 0),
    ("red", "volume", None, 15.0 + 20.0, "GiB h", 1, 2, 0),
]
BLUE = [
    ("blue", "floating_ip", None, 1.0, "h", 1, 1, 0),
    ("blue", "instance", "m1.small", 1.0, "h", 1, 1, 0),
]


def told(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    names = ("usage", "flavor", "amount", "unit", "resources", "hours", "gap_hours")
    return [(*row["groupby"].values(), *(row[name] for name in names)) for row in rows]


@pytest.mark.parametrize("rolled_hours", [None, 1, 3, 12])
def test_usage_is_the_same_of_samples_and_of_roll_ups(rolled_hours: int | None) -> None:
    filled()
    if rolled_hours is not None:
        rollups.roll_up(NOON + timedelta(hours=rolled_hours) + rollups.GRACE)
    assert told(asking.admin().ask("/v2/usage", *DAY)) == BLUE + EXPECTED
    assert told(asking.of("red").ask("/v2/usage", *DAY)) == EXPECTED
    assert told(asking.of("blue").ask("/v2/usage", *DAY)) == BLUE
    assert asking.of("green").ask("/v2/usage", *DAY) == []


def test_what_comes_late_counts_at_once() -> None:
    filled()
    rollups.roll_up(NOON + timedelta(hours=12) + rollups.GRACE)
    store(gauge(1, 2, "instance:m1.small", "web-1"), gauge(40, 1.5, "volume.size", "disk", unit="GiB"))
    rows = {row[1:3]: row[3:] for row in told(asking.of("red").ask("/v2/usage", *DAY))}
    assert rows["instance", "m1.small"] == (4.0, "h", 1, 4, 0)
    assert rows["volume", None] == (15.0 + 30.0, "GiB h", 1, 2, 0)


def test_periods_are_days_or_months_and_a_rise_over_midnight_belongs_to_the_day_in_which_it_ends() -> None:
    about: dict[str, Any] = {"meter": "network.incoming.bytes", "unit": "B", "resource": "port"}
    store(*(reading(volume, hour * HOUR, **about) for hour, volume in ((-13, 5), (0, 100), (11, 150), (13, 400))))
    asker = asking.admin()
    rows = asker.ask("/v2/usage", *between(-12 * HOUR, 36 * HOUR), period="day")
    assert [(row["period_start"], row["period_end"], row["amount"]) for row in rows] == [
        (iso(-12 * HOUR), iso(12 * HOUR), 145.0),  # since the day before
        (iso(12 * HOUR), iso(36 * HOUR), 250.0),
    ]
    [row] = asker.ask("/v2/usage", *between(-12 * HOUR, 36 * HOUR))
    assert (row["period"], row["period_start"], row["period_end"], row["amount"]) == (
        "month",
        "2026-11-01T00:00:00",
        "2026-12-01T00:00:00",
        395.0,
    )


def test_groups_and_fields() -> None:
    filled()
    asker = asking.admin()
    rows = asker.ask("/v2/usage", *DAY, ("project_id", "blue"), groupby=["resource_id", "project_id"])
    assert [(row["groupby"], row["usage"]) for row in rows] == [
        ({"resource_id": "db-1", "project_id": "blue"}, "instance"),
        ({"resource_id": "ip", "project_id": "blue"}, "floating_ip"),
    ]
    assert told(asker.ask("/v2/usage", *DAY, ("resource", "db-1"), groupby="user_id")) == [("ruth", *BLUE[1][1:])]
    assert asker.ask("/v2/usage") is not None  # without bounds it is the present month
    table = asker.get("/v2/usage", *DAY, ("resource", "db-1"), headers={"Accept": "text/csv"}).getvalue()
    assert table.splitlines() == [
        b"groupby.project_id,period,period_start,period_end,usage,flavor,amount,unit,resources,hours,gap_hours",
        b"blue,month,2026-11-01T00:00:00,2026-12-01T00:00:00,instance,m1.small,1.0,h,1,1,0",
    ]


def test_usage_of_many_takes_as_few_statements() -> None:
    filled()
    asker = asking.of("red")
    with CaptureQueriesContext(connection) as captured:
        assert asker.ask("/v2/usage", *DAY)
    assert len(captured) == 3  # the token, how far there are roll-ups, and the usage


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("period=year", 400, "Invalid input for field/attribute period. Value: 'year'."),
        ("period=day&period=day", 400, "Invalid input for field/attribute period."),
        ("groupby=meter", 400, 'Unknown argument: "meter": Invalid groupby fields'),
        ("limit=1", 400, 'Unknown argument: "limit"'),
        ("q.field=metadata.x&q.value=1", 400, 'Unknown argument: "metadata.x": not valid for this resource'),
        ("q.field=meter&q.value=1", 400, 'Unknown argument: "meter"'),
        ("q.field=timestamp&q.op=ge&q.value=0001-01-01", 400, "Invalid input for field/attribute timestamp."),
        ("q.field=timestamp&q.op=lt&q.value=9999-12-31T23:30", 400, "Invalid input for field/attribute timestamp."),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_reason(query: str, status: int, text: str) -> None:
    got = asking.admin().refusal(f"/v2/usage?{query}")
    assert (got[0], got[1][: len(text)]) == (status, text)
    assert asking.of("red").refusal("/v2/usage", ("project", "blue"))[0] == 401
