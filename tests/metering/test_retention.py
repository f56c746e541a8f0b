"""Samples expire by whole days, not before the roll-ups hold them, and not unarchived where that is asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from metering.errors import RollupsBehind
from metering.models import ForeignId, LedgerDay, Sample, SampleOriginal
from metering.store import leases, partitions, retention, rollup_partitions, watermarks
from metering.tasks import control, storage
from metering.tasks.intake import settings
from tests.factories import KEYS, NOON, reading
from tests.installation import wait_for
from tests.metering.storing import RULES, batch, foreign, quarantined, record, whole

pytestmark = pytest.mark.usefixtures("shared_ledger")

DAY = 86_400
STRICT = replace(RULES, oldest=timedelta(days=30), ahead=timedelta(minutes=10))  # as the settings are by default
NOW = NOON + timedelta(days=30, hours=1)  # the day of NOON has samples that are 30 days old, and others that are not


def rolled_up_to(moment: datetime) -> None:
    with watermarks.exclusive() as cursor:
        watermarks.advance(cursor, rolled=moment, closing=moment)


def a_sample_each_day(*days: int) -> None:
    record(*(batch(reading(day, DAY * day, origin=f"o{day}")) for day in days))


def stored_days() -> list[int]:
    """Of which days, counted from that of NOON, samples are stored."""
    return sorted((sample.ts.date() - NOON.date()).days for sample in Sample.objects.all())


def expire(now: datetime = NOW, keep_days: int = 30, archive_dir: Path | None = None) -> retention.Outcome:
    return retention.expire(retention.expired(now, keep_days), archive_dir, KEYS)


def test_days_of_which_every_sample_is_too_old_are_dropped_and_the_others_stay_whole() -> None:
    a_sample_each_day(-3, -2, -1, 0, 1)
    rolled_up_to(NOW)

    outcome = expire()

    assert [day.day for day in outcome.dropped] == [NOON.date() + timedelta(days=number) for number in (-3, -2, -1)]
    assert stored_days() == [0, 1]
    assert [day.day for day in partitions.days()] == [NOON.date(), NOON.date() + timedelta(days=1)]


def test_a_retention_of_0_keeps_everything() -> None:
    a_sample_each_day(-3, 0)
    rolled_up_to(NOW)

    assert expire(keep_days=0).dropped == []

    assert stored_days() == [-3, 0]


def test_what_has_expired_is_refused_from_then_on_with_its_reason_and_makes_no_partition() -> None:
    a_sample_each_day(-3, 0)
    rolled_up_to(NOW)
    expire()

    a_sample_each_day(-1, -3, 1)

    assert stored_days() == [0, 1]
    [(reason, _), (same, _)] = quarantined()
    assert reason == same == "samples before 2026-11-23 00:00 UTC have expired (METERING_RETENTION_DAYS)"
    assert min(day.day for day in partitions.days()) == NOON.date()


def test_nothing_expires_that_the_rollups_do_not_hold() -> None:
    a_sample_each_day(-3, 0)
    rolled_up_to(NOON - timedelta(days=1))

    with pytest.raises(RollupsBehind, match="they hold those before 2026-11-22 12:00 UTC"):
        expire()

    rolled_up_to(NOW)
    a_sample_each_day(-2)  # late: its hour is to be rolled up again
    with pytest.raises(RollupsBehind, match="but for late ones"):
        expire()
    assert stored_days() == [-3, -2, 0]


def test_expiry_takes_originals_and_foreign_ids_along_and_leaves_those_of_later_days() -> None:
    record(*(whole(foreign(timestamp=f"2026-11-{day}T10:00:00", message_id=f"foreign {day}")) for day in (20, 21, 24)))
    rolled_up_to(NOW)
    assert (SampleOriginal.objects.count(), ForeignId.objects.count()) == (3, 3)

    expire()

    assert [sample.ts.day for sample in Sample.objects.all()] == [24]
    assert [original.ts.day for original in SampleOriginal.objects.all()] == [24]
    assert [found.ts.day for found in ForeignId.objects.all()] == [24]


def test_a_day_that_cannot_be_archived_is_kept_and_told_and_goes_once_it_can_be(tmp_path: Path) -> None:
    a_sample_each_day(-3, -2, 0)
    rolled_up_to(NOW)
    in_the_way = tmp_path / "samples-2026-11-20.jsonl.gz"
    in_the_way.mkdir()
    (in_the_way / "file").touch()

    outcome = expire(archive_dir=tmp_path)

    assert [day.day.day for day in outcome.dropped] == [21]
    assert list(outcome.kept) == [date(2026, 11, 20)]
    assert "cannot be archived" in outcome.kept[date(2026, 11, 20)]
    assert stored_days() == [-3, 0]
    (in_the_way / "file").unlink()
    in_the_way.rmdir()
    assert [day.day.day for day in expire(archive_dir=tmp_path).dropped] == [20]
    assert stored_days() == [0]


def test_foreign_ids_of_a_day_that_is_kept_stay(tmp_path: Path) -> None:
    record(*(whole(foreign(timestamp=f"2026-11-{day}T10:00:00", message_id=f"foreign {day}")) for day in (19, 20)))
    rolled_up_to(NOW)
    (tmp_path / "samples-2026-11-20.jsonl.gz").mkdir()
    (tmp_path / "samples-2026-11-20.jsonl.gz" / "file").touch()

    expire(archive_dir=tmp_path)

    assert [found.ts.day for found in ForeignId.objects.all()] == [20]


def test_the_space_of_a_day_whose_expiry_was_killed_half_way_is_given_back_by_the_next() -> None:
    a_sample_each_day(-3, 0)
    rolled_up_to(NOW)
    [day, *_] = retention.expired(NOW, 30).days
    retention.take_away(day, KEYS)
    assert stored_days() == [0]

    assert expire().dropped == []

    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname LIKE 'sample\\_%%2026%%' AND relkind = 'r'")
        assert {name for (name,) in cursor.fetchall()} == {"sample_20261123", "sample_original_20261123"}


def test_writers_on_both_sides_of_the_border_lose_nothing_that_has_not_expired() -> None:
    """What is older was stored and dropped, or is in quarantine; what is not is stored."""
    with watermarks.exclusive() as cursor:
        watermarks.advance(cursor, rolled=NOW)
    a_sample_each_day(-1, 0)
    expired = threading.Event()
    refused: list[int] = []

    def write() -> None:
        number = 0
        while not expired.is_set() or number < 5:
            number += 1
            [sifted] = record(
                batch(*(reading(number, DAY * day + number, origin=f"w{number}/{day}") for day in (-1, 0, 1)))
            )
            refused.append(len(sifted.refused))
        connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        wait_for(lambda: len(refused) > 1, "the first samples of the writer")
        expire()
    finally:
        expired.set()
        thread.join(60)

    written = len(refused)
    assert refused[0] == 0
    assert set(refused[1:]) <= {0, 1}
    assert sorted(refused) == refused  # stored until the border moved, refused since
    assert len(quarantined()) == refused.count(1)
    assert stored_days() == [0] * (written + 1) + [1] * written


def test_the_roll_ups_go_later_by_partition_and_never_before_their_samples() -> None:
    with connection.cursor() as cursor:
        rollup_partitions.ensure(cursor, [date(2024, 11, 5), NOON.date()])
    assert retention.expired_rollups(NOW, 730) == []  # no sample has expired yet
    rolled_up_to(NOW)
    with watermarks.exclusive() as cursor:
        watermarks.advance(cursor, raw_from=NOON)
    assert retention.expired_rollups(NOW, 0) == []

    found = retention.expired_rollups(NOW, 730)
    retention.drop_rollups(found)

    assert found == ["sample_hour_202411"]
    assert retention.expired_rollups(NOW, 730) == []


# the commands and the task


@pytest.fixture
def old(shared_ledger: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[date]:
    """A day that has expired by the clock, with a sample, beside today's; roll-ups hold all."""
    monkeypatch.setenv("METERING_RETENTION_DAYS", "30")
    monkeypatch.setenv("METERING_ROLE", "control")
    settings.cache_clear()
    now = datetime.now(UTC)
    record(*(batch(reading(1, (now - NOON).total_seconds() - DAY * days, origin=f"o{days}")) for days in (0, 3, 40)))
    rolled_up_to(now.replace(minute=0, second=0, microsecond=0))
    yield (now - timedelta(days=40)).date()
    settings.cache_clear()


class Terminal(StringIO):
    """Somebody watches."""

    def isatty(self) -> bool:
        return True


def run(*arguments: str, stderr: StringIO | None = None) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=stderr or StringIO())
    return out.getvalue()


def states() -> dict[str, str]:
    return {line.split()[0]: line.split()[1] for line in run("partitions").splitlines()[1:]}


def test_expire_samples_says_what_and_how_much_and_in_a_dry_run_drops_nothing(old: date) -> None:
    told = run("expire_samples", "--dry-run")

    assert "samples are kept for 30 days (METERING_RETENTION_DAYS). 1 days have expired: about " in told
    assert f"the oldest of {old}" in told
    assert told.endswith("dry run: nothing was dropped\n")
    assert Sample.objects.count() == 3

    watched = Terminal()
    assert run("expire_samples", stderr=watched).endswith("1 days dropped\n")
    assert watched.getvalue().endswith(f"\r{'#' * 40} 1/1 days\n")
    assert Sample.objects.count() == 2
    assert "no day has expired" in run("expire_samples", "--dry-run")


def test_expire_samples_fails_when_a_day_could_not_be_archived(
    old: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("METERING_ARCHIVE_DIR", str(tmp_path / "file"))

    with pytest.raises(CommandError, match="1 days could not be archived and are kept"):
        run("expire_samples")

    assert Sample.objects.count() == 3


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize("command", ["expire_samples", "close_days"])
def test_one_process_at_a_time_closes_or_drops_days(command: str) -> None:
    with leases.held("days", timedelta(hours=1)), pytest.raises(CommandError, match="another process"):
        run(command)

    assert Sample.objects.count() == 3


def test_the_control_worker_makes_partitions_closes_days_and_drops_what_has_expired(old: date) -> None:
    control.keep_days()

    told = states()
    today = datetime.now(UTC).date()
    assert told[str(old)] == "dropped"
    assert told[str(today - timedelta(days=3))] == "closed"
    assert {told[str(today + timedelta(days=number))] for number in range(4)} == {"open"}
    assert Sample.objects.count() == 2
    control.keep_days()
    assert states() == told


def test_the_control_worker_leaves_the_days_to_whoever_has_the_lease(old: date) -> None:
    with leases.held("days", timedelta(hours=1)):
        control.keep_days()

    assert states()[str(old)] == "open"
    assert str(datetime.now(UTC).date() + timedelta(days=3)) in states()


def test_partitions_lists_each_day_with_rows_bytes_and_originals(old: date) -> None:
    record(whole(foreign(timestamp=f"{datetime.now(UTC).date()}T00:00:00")))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sample; ANALYZE sample_original")

    lines = run("partitions", "--json").splitlines()

    told: dict[str, dict[str, Any]] = {row["day"]: row for row in map(json.loads, lines)}
    today = told[str(datetime.now(UTC).date())]
    assert (today["state"], today["rows"], today["originals"]) == ("open", 2, 1)
    assert today["bytes"] > 0
    assert list(told) == sorted(told)
    run("expire_samples")
    dropped = json.loads(run("partitions", "--json").splitlines()[0])
    assert (dropped["day"], dropped["state"], dropped["rows"]) == (str(old), "dropped", 1)
    assert LedgerDay.objects.get(day=old).dropped_at


@pytest.mark.usefixtures("old")
def test_close_days_closes_those_that_are_due_or_named() -> None:
    before = run("close_days", "--dry-run").splitlines()
    assert len(before) == 2

    assert len(run("close_days").splitlines()) == 2

    assert run("close_days") == ""
    assert run("close_days", "1999-01-01") == "1999-01-01: it has no partition\n"


@pytest.mark.parametrize(("year", "refused"), [(1970, True), (2000, True), (2012, False)])
def test_a_clock_that_was_never_set_makes_no_partition_where_samples_are_kept_for_ever(
    year: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERING_RETENTION_DAYS", "0")
    settings.cache_clear()
    storage.sifter.cache_clear()
    rules = replace(storage.sifter().rules, keyring=KEYS, ceilometer_secrets=RULES.ceilometer_secrets)
    settings.cache_clear()
    storage.sifter.cache_clear()

    record(whole(foreign(timestamp=f"{year}-01-01T00:00:00")), rules=rules)

    assert [day.day.year for day in partitions.days()] == ([] if refused else [year])
    assert ["METERING_OLDEST_DAYS" in reason for reason, _ in quarantined()] == [True] * refused


@pytest.mark.parametrize("year", [1900, 1971, 2020, 2199, 9998])
def test_a_sample_from_a_stray_year_goes_to_quarantine_and_makes_no_partition(year: int) -> None:
    stray = whole(foreign(timestamp=f"{year}-06-01T00:00:00"))
    before = partitions.days()

    record(stray, rules=STRICT)

    assert partitions.days() == before
    assert len(quarantined()) == 1
