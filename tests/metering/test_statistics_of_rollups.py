"""Statistics are the same of samples and of roll-ups, at every moment while samples come and are rolled up."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from metering.counters import Counter, Kind
from metering.models import Late, Lease, Sample, SampleDay, SampleHour
from metering.models.figures import Figure
from metering.models.questions import Window
from metering.store import rollup_check, rollups, watermarks
from tests.factories import at, reading, store
from tests.metering.slow_statistics import Asked, answer, expected, samples, shown

pytestmark = pytest.mark.django_db

HOUR = 3600
DAY = 24 * HOUR
MIDNIGHT = -12 * HOUR
ASKED = [
    Asked(),
    Asked(period=HOUR),
    Asked(Window(at(MIDNIGHT), at(MIDNIGHT + DAY)), group=True),
    Asked(Window(at(MIDNIGHT - DAY), at(MIDNIGHT + DAY)), period=DAY),
    Asked(Window(at(MIDNIGHT - DAY), at(MIDNIGHT + DAY)), period=HOUR, group=True),
    Asked(Window(at(MIDNIGHT - DAY), None), period=5 * HOUR),
    Asked(Window(at(MIDNIGHT - DAY), at(DAY)), period=7 * DAY),
    Asked(Window(at(-30 * HOUR), at(2 * HOUR + 1800))),
    Asked(Window(at(-30 * HOUR - 1), at(2 * HOUR), without_start=True, with_end=True)),
    Asked(Window(at(-3 * HOUR), at(2 * HOUR), without_start=True, with_end=True), period=HOUR),
    Asked(Window(at(-3 * HOUR + 1), at(2 * HOUR)), period=HOUR, group=True),
]


def roll_up(seconds: float) -> None:
    rollups.roll_up(at(seconds) + rollups.GRACE)


def is_right(asked: Asked, meter: str = "cpu") -> None:
    assert shown(answer(asked, meter), asked) == expected(samples(meter), asked)


COUNTERS = st.builds(
    reading,
    volume=st.floats(-1e6, 1e6, allow_nan=False) | st.integers(0, 8).map(float),
    seconds=st.builds(
        lambda hour, second: hour * HOUR + second,
        st.integers(-18, 14),
        st.sampled_from([0.0, 0.25, 1799.5, 3599.999999]),
    ),
    resource=st.sampled_from(["web-1", "web-2"]),
    kind=st.sampled_from([Kind.CUMULATIVE, Kind.CUMULATIVE, Kind.GAUGE]),
    origin=st.sampled_from(["one", "two"]),
)
STORED = st.tuples(st.just("store"), st.lists(COUNTERS, min_size=1, max_size=8))
ROLLED = st.tuples(st.sampled_from(["roll up", "roll up", "close", "roll up half", "fail"]), st.integers(-17, 15))
EXAMPLES = itertools.count()


def step(kind: str, given: Any) -> None:
    """Store a batch, or roll up to an hour: all of it, or as far as a roller came that was killed."""
    if kind == "store":
        store(*given)
        return
    until = at(given * HOUR)
    if kind == "roll up":
        roll_up(given * HOUR)
        return
    rollups._close(until)
    if kind == "roll up half":
        rollups._roll_next()
    if kind == "fail":
        with contextlib.suppress(ZeroDivisionError), rollups.rolling() as cursor:
            rollups.add_up(cursor, at(MIDNIGHT), until)
            cursor.execute("DELETE FROM late")
            raise ZeroDivisionError


@given(steps=st.lists(STORED | ROLLED, min_size=2, max_size=8), asked=st.sampled_from(ASKED))
@settings(
    max_examples=15,
    deadline=None,  # a database answers when it answers
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # finding the least example takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example starts from nothing
)
def test_statistics_are_right_after_every_step(steps: list[tuple[str, Any]], asked: Asked) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM sample; DELETE FROM resource; DELETE FROM series; DELETE FROM late")
        cursor.execute("DELETE FROM rollup_state; DELETE FROM sample_hour; DELETE FROM sample_day")
    stored: list[Counter] = []
    for kind, told in steps:
        # What was sent comes again with what is new.
        step(kind, told + stored[:2] if kind == "store" else told)
        stored += told if kind == "store" else []
        is_right(asked)
    roll_up(DAY)
    for question in ASKED:
        is_right(question)
    assert not Late.objects.exists()
    assert not list(rollup_check.faults())


def test_an_hour_s_sum_is_that_of_its_samples_in_their_order_bit_for_bit() -> None:
    volumes = [1e16, 1.0, -1e16, 0.1, 0.2, 0.3, 1e-9]
    store(*(reading(volume, place % 3, origin=str(place)) for place, volume in enumerate(volumes)))
    roll_up(HOUR)
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(volume ORDER BY ts, message_id) FROM sample")
        assert SampleHour.objects.get().sum == cursor.fetchone()[0]


@pytest.fixture
def month() -> None:
    """Readings each half hour of two days, rolled up, so that what tells comes from the roll-ups."""
    store(*(reading(float(number), MIDNIGHT - DAY + number * 1800) for number in range(96)))
    roll_up(MIDNIGHT + DAY)


@pytest.mark.parametrize(
    ("asked", "days", "hours"),
    [
        (Asked(Window(at(MIDNIGHT - DAY), at(MIDNIGHT + DAY))), 2, 0),
        (Asked(Window(at(MIDNIGHT - DAY), at(MIDNIGHT + DAY)), period=DAY), 2, 0),
        (Asked(Window(at(MIDNIGHT - HOUR), at(MIDNIGHT + DAY))), 1, 1),
        (Asked(Window(at(MIDNIGHT - DAY), at(MIDNIGHT)), period=2 * HOUR), 0, 24),
        (Asked(Window(at(MIDNIGHT - DAY + 1), at(MIDNIGHT))), 0, 23),
        (Asked(Window(at(MIDNIGHT - DAY + 1), at(MIDNIGHT)), period=HOUR), 0, 0),
        (Asked(period=HOUR), 0, 0),
    ],
)
@pytest.mark.usefixtures("month")
def test_whole_days_and_hours_are_told_by_their_roll_ups(asked: Asked, days: int, hours: int) -> None:
    is_right(asked)
    [plain] = {sum(row.figures[0] or 0 for row in answer(asked, figures=[Figure("count")]))}
    SampleDay.objects.update(count=1_000_000)
    SampleHour.objects.update(count=10_000)
    [changed] = {sum(row.figures[0] or 0 for row in answer(asked, figures=[Figure("count")]))}
    assert changed == plain + days * (1_000_000 - 48) + hours * (10_000 - 2)


@pytest.mark.usefixtures("month")
def test_a_percentile_and_a_question_of_metadata_are_told_by_the_samples() -> None:
    SampleDay.objects.update(sum=0)
    SampleHour.objects.update(sum=0)
    [row] = answer(Asked(), figures=[Figure("percentile", "50"), Figure("percentile", "99.5"), Figure("sum")])
    assert list(row.figures) == [47.5, pytest.approx(94.525), sum(range(96))]


@pytest.mark.usefixtures("month")
def test_a_note_is_heeded_in_the_statement_that_reads_the_samples() -> None:
    store(reading(1e6, MIDNIGHT + 1), reading(2e6, MIDNIGHT - DAY + 1), reading(3e6, MIDNIGHT - DAY + 2))
    assert Late.objects.exists()
    for asked in ASKED:
        is_right(asked)


def test_a_restart_at_the_edge_of_an_hour_or_a_day_counts_once() -> None:
    store(
        reading(100, MIDNIGHT - HOUR - 60), reading(5, MIDNIGHT - HOUR), reading(9, MIDNIGHT - 60), reading(2, MIDNIGHT)
    )
    roll_up(MIDNIGHT + DAY)
    store(reading(3, MIDNIGHT + DAY))
    [row] = shown(answer(Asked()), Asked())
    told = row["figures"]
    assert (told["delta"], told["resets"], told["gap"]) == (5 + 4 + 2 + 1, 2, DAY)
    assert told["rate"] == pytest.approx(12 / (DAY + HOUR + 60))


def test_a_gauge_has_neither_delta_nor_rate_nor_resets() -> None:
    store(reading(5, 0, kind=Kind.GAUGE), reading(3, 60, kind=Kind.GAUGE))
    roll_up(HOUR)
    [row] = answer(Asked(), figures=[Figure(name) for name in ("delta", "rate", "resets")])
    assert row.figures == (None, None, None)


@pytest.mark.parametrize("asked", ASKED)
def test_volumes_too_large_to_roll_up_are_read_as_they_are(asked: Asked) -> None:
    store(reading(1.7e308, MIDNIGHT), reading(1, MIDNIGHT + HOUR), reading(2, MIDNIGHT - HOUR))
    roll_up(MIDNIGHT + DAY)
    figures = [Figure(name) for name in ("count", "sum", "min", "max", "first", "last")]
    want = [{figure.name: row["figures"][figure.name] for figure in figures} for row in expected(samples(), asked)]
    assert [row["figures"] for row in shown(answer(asked, figures=figures), asked, figures)] == want


@pytest.mark.usefixtures("month")
def test_expired_samples_live_on_in_their_hours() -> None:
    with connection.cursor() as cursor:
        watermarks.advance(cursor, raw_from=at(MIDNIGHT))
    Sample.objects.filter(ts__lt=at(MIDNIGHT)).delete()
    count = [Figure("count")]

    def counts(asked: Asked) -> list[float | None]:
        return [row.figures[0] for row in answer(asked, figures=count)]

    assert counts(Asked()) == [96]
    assert counts(Asked(Window(at(MIDNIGHT - DAY), None), period=DAY)) == [48, 48]
    # Periods that cut hours: each expired hour counts where its first sample lies, and whole or not at all.
    assert counts(Asked(Window(at(MIDNIGHT - 2 * HOUR - 900), at(MIDNIGHT + 1800)), period=HOUR)) == [2, 2, 1]
    assert counts(Asked(Window(at(MIDNIGHT - 1800), at(MIDNIGHT + HOUR)))) == [2]


@pytest.mark.django_db(transaction=True)
def test_statistics_are_right_at_every_moment_while_writers_and_rollers_work() -> None:
    store(reading(1, MIDNIGHT - DAY))
    begun, stored = itertools.count(2), itertools.count(2)
    counted = {"begun": 1, "stored": 1}
    lock, done = threading.Lock(), threading.Event()
    failures: list[BaseException] = []

    def work(task: Any) -> None:
        try:
            task()
        except BaseException as exc:  # noqa: BLE001 # shown below
            failures.append(exc)
        finally:
            connection.close()

    def write(writer: int) -> None:
        for number in range(30):
            spot = MIDNIGHT - DAY + (number * 7919 + writer * 13) % (2 * DAY)
            with lock:
                counted["begun"] = next(begun)
            store(reading(1, spot + writer / 10), publisher=f"compute/{writer}")
            with lock:
                counted["stored"] = next(stored)

    def roll() -> None:
        for hour in itertools.cycle(range(1, 48)):
            roll_up(MIDNIGHT - DAY + hour * HOUR)
            if done.is_set():
                return

    def ask(asked: Asked) -> None:
        while not done.is_set():
            least = counted["stored"]
            found = sum(row.figures[0] or 0 for row in answer(asked, figures=[Figure("count")]))
            assert least <= found <= counted["begun"]

    window = Window(at(MIDNIGHT - DAY), at(MIDNIGHT + DAY))
    writers = [threading.Thread(target=work, args=(lambda number=number: write(number),)) for number in range(2)]
    tasks = [roll, lambda: ask(Asked(window)), lambda: ask(Asked(window, period=HOUR))]
    others = [threading.Thread(target=work, args=(task,)) for task in tasks]
    for thread in (*writers, *others):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in others:
        thread.join()
    assert not failures
    roll_up(MIDNIGHT + DAY)
    is_right(Asked(window, period=DAY))
    assert not list(rollup_check.faults())


ROLLER = """
import datetime, django
django.setup()
from metering.store import rollups
from tests.factories import at
for hour in range(48):
    rollups.roll_up(at(-36 * 3600 + hour * 3600) + rollups.GRACE)
"""


def test_a_roller_that_is_killed_half_way_leaves_statistics_and_the_next_roller_right(database_url: str) -> None:
    volumes = [float(number % 17) for number in range(96)]
    store(*(reading(volume, MIDNIGHT - DAY + number * 1800) for number, volume in enumerate(volumes)))
    environment = {**os.environ, "DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "metering.settings"}
    roller = subprocess.Popen([sys.executable, "-c", ROLLER], env=environment, cwd=Path(__file__).parents[2])
    while SampleHour.objects.count() < 10:
        assert roller.poll() is None
    store(reading(40, MIDNIGHT - DAY + 60), reading(50, MIDNIGHT + 60))
    roller.kill()
    roller.wait()
    for asked in ASKED:
        is_right(asked)
    Lease.objects.update(until=at(-DAY))  # as time does
    roll_up(MIDNIGHT + DAY)
    assert not Late.objects.exists()
    for asked in ASKED:
        is_right(asked)
    assert not list(rollup_check.faults())
