from __future__ import annotations

import math
import random
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from metering.identity import EPOCH
from metering.models import Late, Sample, SampleDay, SampleHour, Series
from metering.store import leases, rollup_check, rollups, watermarks
from metering.store.watermarks import Marks
from tests.factories import at, reading, store

pytestmark = pytest.mark.django_db

HOUR = 3600.0
DAY = 24 * HOUR
MIDNIGHT = -12 * HOUR  # the one before NOON


def marks() -> Marks:
    with connection.cursor() as cursor:
        return watermarks.marks(cursor)


def roll_up(seconds: float) -> bool:
    """As at that time, when the samples of the hours before it have all arrived."""
    return rollups.roll_up(at(seconds) + rollups.GRACE)


def hours() -> list[tuple[datetime, int, float]]:
    return list(SampleHour.objects.order_by("series_id", "hour").values_list("hour", "count", "sum"))


def test_an_hour_is_rolled_up_once_it_is_over() -> None:
    store(reading(1, 0), reading(2, HOUR - 0.000001), reading(4, HOUR))
    roll_up(HOUR - 1)
    assert hours() == []
    roll_up(HOUR)
    assert hours() == [(at(0), 2, 3.0)]
    assert marks() == Marks(at(HOUR), at(HOUR), EPOCH)
    roll_up(2 * HOUR)
    assert hours() == [(at(0), 2, 3.0), (at(HOUR), 1, 4.0)]


def test_samples_on_their_way_have_some_minutes_before_the_hour_is_closed() -> None:
    store(reading(1, 0))
    rollups.roll_up(at(HOUR) + rollups.GRACE - timedelta(microseconds=1))
    assert hours() == []


def test_what_an_hour_tells() -> None:
    store(reading(50, 10), reading(80, 70), reading(30, 130), reading(31, 730), reading(31, 790))
    roll_up(HOUR)
    row = SampleHour.objects.get()
    assert (row.count, row.sum, row.min, row.max) == (5, 222.0, 30.0, 80.0)
    assert (row.first_at, row.first_volume, row.last_at, row.last_volume) == (at(10), 50.0, at(790), 31.0)
    assert row.m2 == pytest.approx(sum((volume - 222 / 5) ** 2 for volume in (50, 80, 30, 31, 31)))
    assert (row.increase, row.resets, row.gap) == (30 + 30 + 1, 1, 600.0)


def test_a_day_is_made_of_its_hours() -> None:
    store(reading(10, MIDNIGHT), reading(20, MIDNIGHT + 1), reading(5, MIDNIGHT + 5 * HOUR), reading(7, MIDNIGHT + DAY))
    roll_up(MIDNIGHT + DAY)
    row = SampleDay.objects.get()
    assert (row.day, row.count, row.sum, row.min, row.max) == (at(MIDNIGHT), 3, 35.0, 5.0, 20.0)
    assert (row.first_at, row.first_volume) == (at(MIDNIGHT), 10.0)
    assert (row.last_at, row.last_volume) == (at(MIDNIGHT + 5 * HOUR), 5.0)
    assert row.m2 == pytest.approx(sum((volume - 35 / 3) ** 2 for volume in (10, 20, 5)))
    assert (row.increase, row.resets, row.gap) == (10 + 5, 1, 5 * HOUR - 1)


def test_a_sample_of_a_closed_hour_is_noted_and_then_added() -> None:
    store(reading(1, MIDNIGHT), reading(2, MIDNIGHT + 2 * HOUR))
    roll_up(MIDNIGHT + DAY)
    store(reading(4, MIDNIGHT + 60), reading(8, MIDNIGHT + HOUR))
    assert Late.objects.count() == 2
    assert SampleDay.objects.get().sum == 3.0
    roll_up(MIDNIGHT + DAY)
    assert not Late.objects.exists()
    assert [row[1:] for row in hours()] == [(2, 5.0), (1, 8.0), (1, 2.0)]
    assert (SampleDay.objects.get().count, SampleDay.objects.get().sum) == (4, 15.0)


def test_a_late_sample_of_a_day_that_is_not_over_makes_no_day() -> None:
    store(reading(1, 0))
    roll_up(2 * HOUR)
    store(reading(2, 1))
    roll_up(2 * HOUR)
    assert [row[1:] for row in hours()] == [(2, 3.0)]
    assert not SampleDay.objects.exists()


def test_more_notes_than_one_transaction_takes_are_settled_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    store(*(reading(1, hour * HOUR) for hour in range(12)))
    roll_up(DAY)
    store(*(reading(1, hour * HOUR + 1) for hour in range(12)))
    monkeypatch.setattr(rollups, "AT_ONCE", 5)
    with connection.cursor() as cursor:  # the same note twice, as two writers leave it
        watermarks.keep_late(cursor, [(Series.objects.get().id, at(0))])
    roll_up(DAY)
    assert not Late.objects.exists()
    assert [row[1] for row in hours()] == [2] * 12


def test_hours_without_samples_are_no_rows_and_a_store_without_any_is_rolled_up_to_now() -> None:
    roll_up(HOUR)
    assert marks().rolled == at(HOUR)
    store(reading(1, -DAY))  # older than all that was rolled up: noted
    roll_up(HOUR)
    assert hours() == [(at(-DAY), 1, 1.0)]


def test_a_clock_set_back_moves_no_mark_back() -> None:
    store(reading(1, 0))
    roll_up(5 * HOUR)
    roll_up(2 * HOUR)
    assert marks() == Marks(at(5 * HOUR), at(5 * HOUR), EPOCH)


def test_a_clock_far_ahead_makes_every_sample_late_and_loses_none() -> None:
    store(reading(1, 0))
    roll_up(10 * DAY)
    store(reading(2, 1), reading(4, DAY))
    roll_up(DAY)
    assert [row[1:] for row in hours()] == [(2, 3.0), (1, 4.0)]


@pytest.mark.parametrize("volumes", [(1.7e308, 1.7e308), (-1.7e308, 1.7e308), (1e200,), (1.7e308, 1.0)])
def test_volumes_too_large_to_add_up_stop_no_roll_up_and_stay_noted(volumes: tuple[float, ...]) -> None:
    store(*(reading(volume, MIDNIGHT + place) for place, volume in enumerate(volumes)))
    store(reading(1, MIDNIGHT, resource="web-2"), reading(2, MIDNIGHT + HOUR))
    for _ in range(2):
        roll_up(MIDNIGHT + DAY)
        assert Late.objects.values_list("hour", flat=True).distinct().get() == at(MIDNIGHT)
    row = SampleHour.objects.get(hour=at(MIDNIGHT), series__resource_id="web-1")
    assert (row.count, row.min, row.max, row.sum) == (len(volumes), min(volumes), max(volumes), math.inf)
    assert SampleDay.objects.get(series__resource_id="web-1").sum == math.inf
    assert SampleDay.objects.get(series__resource_id="web-2").sum == 1.0
    assert not list(rollup_check.faults())
    with connection.cursor() as cursor:
        assert rollups.is_settled(cursor, at(MIDNIGHT + DAY))


@pytest.mark.parametrize("volume", [5e-324, -5e-324, 1e-200, -0.0, 1e139])
def test_volumes_at_the_edges_of_a_float_are_rolled_up(volume: float) -> None:
    store(reading(volume, MIDNIGHT), reading(volume / 3, MIDNIGHT + 1), reading(volume, MIDNIGHT + HOUR))
    roll_up(MIDNIGHT + DAY)
    assert (SampleDay.objects.get().last_volume, SampleDay.objects.get().count) == (volume, 3)
    assert not list(rollup_check.faults())


def test_a_second_roller_leaves_the_work_to_the_first() -> None:
    with leases.held("roll up", timedelta(minutes=1)):
        assert not roll_up(HOUR)
    assert roll_up(HOUR)


def test_a_run_that_has_no_time_left_leaves_the_rest_to_the_next() -> None:
    store(reading(1, 0), reading(2, HOUR))
    assert rollups.roll_up(at(2 * HOUR) + rollups.GRACE, seconds=0)
    assert marks() == Marks(EPOCH, at(2 * HOUR), EPOCH)
    store(reading(4, 1))
    roll_up(2 * HOUR)
    assert [row[1:] for row in hours()] == [(2, 5.0), (1, 2.0)]
    assert not Late.objects.exists()


def test_nothing_is_rolled_up_again_once_its_samples_have_expired() -> None:
    expired = at(MIDNIGHT + DAY)
    store(reading(1, 0), reading(2, DAY))
    roll_up(2 * DAY)
    with connection.cursor() as cursor:
        watermarks.keep_late(cursor, [(Series.objects.get().id, at(0))])
        assert not rollups.is_settled(cursor, expired)
        watermarks.advance(cursor, raw_from=expired)
    Sample.objects.filter(ts__lt=expired).delete()
    roll_up(2 * DAY)
    assert hours() == [(at(0), 1, 1.0), (at(DAY), 1, 2.0)]
    with connection.cursor() as cursor:
        assert rollups.is_settled(cursor, expired)
        assert not rollups.is_settled(cursor, at(3 * DAY))
    rollups.rebuild(at(MIDNIGHT), at(-DAY), at(2 * DAY))
    assert hours() == [(at(0), 1, 1.0), (at(DAY), 1, 2.0)]
    assert not list(rollup_check.faults())


def spoil(**values: Any) -> None:
    SampleHour.objects.filter(hour=at(MIDNIGHT)).update(**values)


def test_the_check_finds_nothing_where_all_is_right_and_leaves_out_what_is_late() -> None:
    store(*(reading(0.1 * number, MIDNIGHT + number * 1000) for number in range(100)))
    roll_up(MIDNIGHT + DAY)
    store(reading(5, MIDNIGHT + 1))
    assert list(rollup_check.faults()) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sum": 3.0000000000000004}, "it says something else than its 2 samples"),
        ({"count": 3}, "it counts 3 samples, and there are 2"),
        ({"m2": 9.0}, "it says something else than its 2 samples"),
        ({"last_at": at(MIDNIGHT + 2)}, "it says something else than its 2 samples"),
    ],
)
def test_the_check_names_an_hour_that_differs(values: dict[str, Any], said: str) -> None:
    store(reading(1, MIDNIGHT), reading(2, MIDNIGHT + 1))
    roll_up(MIDNIGHT + HOUR)
    spoil(**values)
    series = Series.objects.get().id
    assert [str(fault) for fault in rollup_check.faults()] == [f"series {series}, hour 2026-11-23 00:00: {said}"]
    assert list(rollup_check.faults(end=at(MIDNIGHT))) == []
    assert list(rollup_check.faults(start=at(MIDNIGHT + HOUR))) == []


def test_the_check_names_what_is_missing_and_what_nothing_is_behind() -> None:
    store(reading(1, MIDNIGHT), reading(1, MIDNIGHT + HOUR), reading(1, MIDNIGHT + 2 * HOUR))
    roll_up(MIDNIGHT + DAY)
    SampleHour.objects.filter(hour=at(MIDNIGHT)).delete()
    Sample.objects.filter(ts=at(MIDNIGHT + HOUR)).delete()
    assert [(fault.span, fault.reason) for fault in rollup_check.faults()] == [
        ("hour", "there is none, for 1 samples"),
        ("hour", "it counts 1 samples, and there are none"),
        ("day", "it counts 3 samples, and there are 2"),
    ]


def test_a_rebuild_mends_what_the_check_finds() -> None:
    store(reading(1, MIDNIGHT), reading(1, MIDNIGHT + HOUR), reading(1, MIDNIGHT + 2 * HOUR))
    roll_up(MIDNIGHT + DAY + HOUR)
    SampleHour.objects.filter(hour=at(MIDNIGHT)).delete()
    SampleDay.objects.update(sum=7)
    assert rollups.rebuild(at(MIDNIGHT), at(MIDNIGHT), at(MIDNIGHT + 2 * HOUR)) == (1, 2)
    assert list(rollup_check.faults()) == []


@pytest.mark.django_db(transaction=True)
def test_writers_and_a_roller_at_once_leave_roll_ups_that_are_right() -> None:
    store(*(reading(1, 0, resource=f"web-{number}") for number in range(4)))
    failures: list[BaseException] = []
    written = threading.Event()

    def work(task: Any) -> None:
        try:
            task()
        except BaseException as exc:  # noqa: BLE001 # shown below
            failures.append(exc)
        finally:
            connection.close()

    def write(writer: int) -> None:
        chance = random.Random(writer)
        for batch in range(15):
            spots = [chance.randrange(int(DAY)) + batch / 100 for _ in range(20)]
            counters = [reading(chance.random(), spot, resource=f"web-{chance.randrange(4)}") for spot in spots]
            store(*counters, publisher=f"compute/{writer}")

    def roll() -> None:
        hour = 0
        while not written.is_set():
            hour += 1
            roll_up(hour * HOUR)

    rollers = [threading.Thread(target=work, args=(roll,)) for _ in range(2)]
    writers = [threading.Thread(target=work, args=(lambda number=number: write(number),)) for number in range(3)]
    for thread in (*rollers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    written.set()
    for thread in rollers:
        thread.join()
    assert not failures
    roll_up(2 * DAY)
    assert not Late.objects.exists()
    assert list(rollup_check.faults()) == []
    assert sum(row[1] for row in hours()) == Sample.objects.count()


@pytest.mark.django_db(transaction=True)
def test_a_roller_waits_for_a_writer_and_counts_what_it_wrote() -> None:
    store(reading(1, 0))
    begun, end = threading.Event(), threading.Event()

    def write() -> None:
        try:
            with transaction.atomic():
                store(reading(2, 1))
                begun.set()
                end.wait(30)
        finally:
            connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(30)
    threading.Timer(0.3, end.set).start()
    roll_up(HOUR)
    writer.join()
    assert hours() == [(at(0), 2, 3.0)]
    assert not Late.objects.exists()
