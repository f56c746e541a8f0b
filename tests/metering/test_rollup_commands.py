from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from metering.models import Late, SampleDay, SampleHour
from metering.store import rollup_check, rollups
from metering.tasks import control
from tests.factories import at, reading, store

pytestmark = pytest.mark.django_db

HOUR = 3600
DAY = 24 * HOUR
MIDNIGHT = -12 * HOUR


@pytest.fixture
def rolled() -> None:
    store(*(reading(1, MIDNIGHT - DAY + hour * HOUR) for hour in range(48)))
    rollups.roll_up(at(MIDNIGHT + DAY) + rollups.GRACE)


def run(command: str, *arguments: str) -> list[str]:
    said = StringIO()
    call_command(command, *arguments, stdout=said, stderr=StringIO())
    return said.getvalue().splitlines()


@pytest.mark.usefixtures("rolled")
def test_a_rebuild_makes_everything_anew_and_says_where_it_differed() -> None:
    SampleHour.objects.filter(hour=at(MIDNIGHT)).delete()
    SampleDay.objects.update(sum=0)
    assert run("rebuild_rollups") == [
        "2026-11-23: 24 hours of series where there were 23",
        "2 days rebuilt, 2026-11-22 to 2026-11-23: 48 hours of series",
    ]
    assert not list(rollup_check.faults())


@pytest.mark.usefixtures("rolled")
def test_a_dry_run_says_which_days_and_changes_nothing() -> None:
    SampleHour.objects.all().delete()
    assert run("rebuild_rollups", "--start", "2026-11-23", "--dry-run") == [
        "1 days to rebuild, 2026-11-23 to 2026-11-23 (nothing was changed)"
    ]
    assert not SampleHour.objects.exists()


@pytest.mark.usefixtures("rolled")
def test_a_range_of_hours_leaves_the_others_alone() -> None:
    SampleHour.objects.update(count=9)
    run("rebuild_rollups", "--start", "2026-11-22T22:00", "--end", "2026-11-23T01:30")
    assert SampleHour.objects.filter(count=1).count() == 3


def test_there_is_nothing_to_rebuild_before_the_first_roll_up() -> None:
    store(reading(1, 0))
    assert run("rebuild_rollups") == ["0 days to rebuild (nothing was changed)"]


def test_a_moment_that_cannot_be_read_is_named() -> None:
    with pytest.raises(CommandError, match=r"^--start: "):
        run("rebuild_rollups", "--start", "yesterday")


@pytest.mark.usefixtures("rolled")
def test_verify_samples_checks_the_roll_ups() -> None:
    assert run("verify_samples", "--rollups") == ["every roll-up is right"]
    SampleHour.objects.filter(hour=at(MIDNIGHT)).update(sum=2)
    said = StringIO()
    with pytest.raises(SystemExit) as exit_:
        call_command("verify_samples", "--rollups", stdout=said)
    assert exit_.value.code == 1
    assert "hour 2026-11-23 00:00: it says something else than its 1 samples" in said.getvalue()
    assert run("verify_samples", "--rollups", "--end", "2026-11-22T23:00") == ["every roll-up is right"]


def test_the_control_worker_rolls_up() -> None:
    store(reading(1, 0))
    control.roll_up()
    store(reading(2, 1))
    assert Late.objects.exists()
    control.roll_up()
    assert list(SampleHour.objects.values_list("count", "sum")) == [(2, 3.0)]
