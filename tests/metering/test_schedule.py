"""Beat's ticks: at each multiple of the interval since the epoch, whenever and however often beat started."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from metering.schedule import Aligned
from tests.metering.strategies import many

START = datetime(2026, 1, 1, tzinfo=UTC)
intervals = st.integers(1, 86_400)
moments = st.integers(0, 10**12).map(lambda microseconds: START + timedelta(microseconds=microseconds))


def at(moment: datetime, interval: int) -> Aligned:
    """The schedule as a beat asks it at that moment."""

    class Then(Aligned):
        def now(self) -> datetime:
            return moment

    return Then(interval)


def test_is_due_once_the_clock_has_passed_a_multiple_of_the_interval() -> None:
    last = START + timedelta(seconds=61)

    assert at(START + timedelta(seconds=119, milliseconds=999), 60).is_due(last).is_due is False
    assert at(START + timedelta(seconds=120), 60).is_due(last).is_due is True


def test_says_the_seconds_until_the_next_multiple_whatever_the_last_run_was() -> None:
    now = START + timedelta(seconds=75)

    for last in (START, START + timedelta(seconds=74), START - timedelta(days=3)):
        assert at(now, 60).is_due(last).next == 45


@many
@given(intervals, moments)
def test_the_next_tick_is_a_multiple_of_the_interval_and_not_later(interval: int, now: datetime) -> None:
    seconds = at(now, interval).is_due(now).next

    assert 0 < seconds <= interval
    beyond = (now.timestamp() + seconds) % interval
    assert min(beyond, interval - beyond) < 1e-5


@many
@given(intervals, moments, st.integers(0, 10**10))
def test_two_beats_are_due_in_the_same_slots(interval: int, last: datetime, microseconds: int) -> None:
    now = last + timedelta(microseconds=microseconds)

    due = at(now, interval).is_due(last).is_due

    assert due == (int(now.timestamp()) // interval > int(last.timestamp()) // interval)


@many
@given(intervals, moments)
def test_a_slot_is_due_once(interval: int, now: datetime) -> None:
    assert at(now, interval).is_due(now).is_due is False


def test_can_be_kept_by_a_beat_that_keeps_its_schedule() -> None:
    kept = pickle.loads(pickle.dumps(Aligned(30)))

    assert (kept, kept.interval) == (Aligned(30), 30)
