"""The marks that writers go by, and the lock under which they move."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, connections, transaction

from metering.models import Late, Quarantine, RollupState, Sample
from metering.store import watermarks
from tests.factories import NOON, at, reading
from tests.metering.storing import batch, quarantined, record, volumes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def advance(**marks: datetime) -> watermarks.Marks:
    with connection.cursor() as cursor:
        return watermarks.advance(cursor, **marks)


@pytest.mark.usefixtures("ledger")
def test_marks_that_were_never_set_are_the_epoch() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        assert watermarks.marks(cursor) == watermarks.Marks(EPOCH, EPOCH, EPOCH)
        found = watermarks.writing(cursor)
    assert (found.closing, found.raw_from) == (EPOCH, EPOCH)
    assert found.recorded_at > datetime.now(UTC) - HOUR


@pytest.mark.usefixtures("ledger")
def test_a_mark_moves_forward_only() -> None:
    advance(closing=NOON)
    advance(closing=NOON - HOUR, raw_from=NOON - HOUR)

    assert advance(rolled=NOON) == watermarks.Marks(NOON, NOON, NOON - HOUR)
    assert RollupState.objects.count() == 1


@pytest.mark.usefixtures("ledger")
def test_a_sample_before_closing_is_stored_and_its_hour_noted() -> None:
    advance(closing=NOON)

    record(batch(*(reading(n, seconds, origin="o") for n, seconds in enumerate([-3_601, -3_600, -1, 0, 1]))))

    assert volumes() == [0, 1, 2, 3, 4]
    assert set(Late.objects.values_list("hour", flat=True)) == {NOON - 2 * HOUR, NOON - HOUR}
    assert Late.objects.count() == 2
    [series] = set(Late.objects.values_list("series_id", flat=True))
    assert series == Sample.objects.values_list("series_id", flat=True)[0]


@pytest.mark.usefixtures("ledger")
def test_a_known_late_sample_is_noted_again_which_does_no_harm() -> None:
    advance(closing=NOON)
    text = batch(reading(1, -1, origin="o"))

    record(text, text)

    assert (volumes(), Late.objects.count()) == ([1], 2)


@pytest.mark.usefixtures("ledger")
def test_an_expired_sample_goes_to_quarantine_and_makes_no_partition() -> None:
    advance(raw_from=NOON)
    good, expired = reading(1, 0, origin="o"), reading(2, -86_400 * 500, origin="o")

    [sifted] = record(batch(expired, good))

    assert volumes() == [1]
    assert [item.volume for item in sifted.genuine] == [1]
    assert quarantined() == [("samples before 2026-11-23 12:00 UTC have expired (METERING_RETENTION_DAYS)", 1)]
    assert Quarantine.objects.get().publisher == "compute/host-1"
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('sample_20250711')")
        assert cursor.fetchone() == (None,)


@pytest.mark.usefixtures("ledger")
def test_cuts_go_forward_and_rows_are_recorded_after_the_last_one_though_the_clock_goes_back() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        first, second = watermarks.cut(cursor), watermarks.cut(cursor)
        assert datetime.now(UTC) - HOUR < first < second
        # As if the clock had been a day ahead until now.
        cursor.execute("UPDATE rollup_state SET cut = cut + interval '1 day'")
        ahead = watermarks.cut(cursor)
    assert ahead > second + 23 * HOUR
    assert RollupState.objects.get().cut == ahead

    record(batch(reading(1)))

    assert Sample.objects.get().recorded_at == ahead


@pytest.mark.usefixtures("shared_ledger")
def test_who_has_the_lock_alone_waits_for_writers_and_lets_them_pass_meanwhile() -> None:
    """A writer that is slow to commit, and another that comes while the lock is waited for."""
    writing, commit, alone = threading.Event(), threading.Event(), threading.Event()

    def slow_writer() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            watermarks.writing(cursor)
            writing.set()
            assert commit.wait(30)
        connections.close_all()

    def mover() -> None:
        with watermarks.exclusive() as cursor:
            watermarks.advance(cursor, closing=at(3_600))
            alone.set()
        connections.close_all()

    threads = [threading.Thread(target=slow_writer), threading.Thread(target=mover)]
    threads[0].start()
    assert writing.wait(30)
    threads[1].start()
    record(batch(reading(1, origin="o")))
    assert not alone.is_set()
    commit.set()
    for thread in threads:
        thread.join(30)
    assert alone.is_set()

    record(batch(reading(2, 1, origin="o")))

    assert (volumes(), Late.objects.count()) == ([1, 2], 1)


@pytest.mark.usefixtures("shared_ledger")
def test_who_cannot_have_the_lock_alone_says_so_in_the_end() -> None:
    writing, commit = threading.Event(), threading.Event()

    def writer() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            watermarks.writing(cursor)
            writing.set()
            assert commit.wait(30)
        connections.close_all()

    thread = threading.Thread(target=writer)
    thread.start()
    try:
        assert writing.wait(30)
        with pytest.raises(OperationalError, match="lock timeout"), watermarks.exclusive(patience=0):
            pass
    finally:
        commit.set()
        thread.join(30)
    with watermarks.exclusive() as cursor:  # the connection is as good as before
        assert watermarks.marks(cursor).closing == EPOCH


@pytest.mark.usefixtures("shared_ledger")
def test_what_fails_under_the_lock_is_undone_and_lets_go_of_it() -> None:
    def fail() -> None:
        with watermarks.exclusive() as cursor:
            watermarks.advance(cursor, closing=NOON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    with watermarks.exclusive() as cursor:
        assert watermarks.marks(cursor).closing == EPOCH
