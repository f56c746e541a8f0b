"""Closed days hold what the open ones held, whoever writes, closes or dies meanwhile."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, connections

from metering.errors import Overtaken
from metering.models import LedgerDay, Sample
from metering.store import closing, partitions
from tests.factories import NOON, reading
from tests.installation import wait_for
from tests.metering.storing import batch, faults, record
from tests.metering.test_concurrent_writers import at_once

pytestmark = pytest.mark.usefixtures("shared_ledger")

DAY = NOON.date()
TABLE = partitions.name("sample", DAY)


def poll(number: int, guests: int = 50) -> str:
    """One poll among the day's: each of them holds a sample of each guest."""
    return batch(*(reading(number, 20 * number, resource=f"r-{guest}", origin=f"o{number}") for guest in range(guests)))


def everything() -> list[tuple[Any, ...]]:
    """All that is stored of each sample, by its key."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM sample ORDER BY series_id, ts, message_id")
        return list(cursor.fetchall())


def rows(statement: str, *values: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def tables() -> set[str]:
    """What lies beside the day's partition: a copy of it, or what it replaced."""
    found = rows("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE %s", f"{TABLE}\\_%")
    return {name for (name,) in found}


def indexes(table: str = TABLE) -> list[str]:
    """What a table's indexes are made of, however full they are."""
    found = rows("SELECT indexdef FROM pg_indexes WHERE tablename = %s", table)
    return sorted(definition.partition(" USING ")[2].partition(" WITH ")[0] for (definition,) in found)


def test_a_closed_day_has_the_same_rows_in_the_order_of_their_key() -> None:
    record(*(poll(number) for number in range(20)))
    before, with_indexes = everything(), indexes()

    assert closing.close(DAY) == 1_000

    assert everything() == before
    assert indexes() == with_indexes
    assert rows(f"SELECT array_agg(series_id ORDER BY ctid) = array_agg(series_id ORDER BY series_id) FROM {TABLE}")
    assert (LedgerDay.objects.get().closed_rows, tables()) == (1_000, set())
    assert faults() == []


def test_a_closed_day_is_denser() -> None:
    record(*(poll(number) for number in random.Random(7).sample(range(100), 100)))
    [before] = [day.bytes for day in partitions.days() if day.day == DAY]

    closing.close(DAY)

    [after] = [day.bytes for day in partitions.days() if day.day == DAY]
    assert after < before


def test_a_closed_day_takes_late_samples_and_knows_repeats_and_may_be_closed_again() -> None:
    record(*(poll(number) for number in range(5)))
    closing.close(DAY)

    record(poll(3), poll(7))

    assert Sample.objects.count() == 300
    assert closing.close(DAY) == 300
    assert Sample.objects.count() == 300
    assert faults() == []


def test_a_day_without_a_partition_cannot_be_closed() -> None:
    assert closing.close(date(2033, 3, 3)) is None
    assert not LedgerDay.objects.exists()


def test_days_are_due_once_they_are_over_for_a_day_and_again_when_late_samples_make_them_much_larger() -> None:
    record(*(poll(number) for number in range(5)))
    midnight = partitions.bounds(DAY)[1]

    assert DAY not in closing.due(midnight)
    assert DAY in closing.due(midnight + closing.SETTLED)
    closing.close(DAY)
    assert DAY not in closing.due(midnight + closing.SETTLED)

    record(*(poll(number) for number in range(5, 45)))
    rows(f"ANALYZE {TABLE}; SELECT 1")
    assert DAY in closing.due(midnight + closing.SETTLED)


def writing(stop: threading.Event, stored: list[int], seed: int) -> None:
    number = 1_000 * (seed + 1)
    while not stop.is_set():
        record(poll(number % 2_000, guests=20))
        stored.append(number % 2_000)
        number += 1


@contextmanager
def late_writers(count: int) -> Iterator[list[int]]:
    """Writers of late samples of the day, which write on until the block is left; the polls they have stored."""
    stop = threading.Event()
    stored: list[int] = []

    def run(seed: int) -> None:
        try:
            writing(stop, stored, seed)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(stored) > count, "the first late samples")
        yield stored
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def more_than(count: int, stored: list[int]) -> bool:
    return len(stored) > count


def test_writers_of_late_samples_lose_nothing_while_their_day_is_closed_again_and_again() -> None:
    record(*(poll(number) for number in range(20)))
    with late_writers(3) as stored:
        for _ in range(4):
            before = len(stored)
            closing.close(DAY)
            wait_for(partial(more_than, before, stored), "a late sample after the swap")

    expected = {(f"r-{guest}", float(number)) for number in range(20) for guest in range(50)}
    expected |= {(f"r-{guest}", float(number)) for number in stored for guest in range(20)}
    found = list(Sample.objects.values_list("series__resource_id", "volume"))
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert faults() == []
    assert tables() == set()


def test_two_closers_of_a_day_at_once_lose_nothing() -> None:
    record(*(poll(number) for number in range(20)))
    before = everything()
    outcomes: list[object] = []

    def one() -> None:
        try:
            outcomes.append(closing.close(DAY))
        except (Overtaken, DatabaseError) as exc:  # what one of them made, the other one threw away
            outcomes.append(exc)

    at_once([one, one])

    assert everything() == before
    assert len(outcomes) == 2
    closing.close(DAY)  # whatever they have left behind
    assert everything() == before
    assert tables() == set()


KILLED = """
import os, signal, sys
import metering.celery, django
django.setup()
from datetime import date
from django.db import connection
from metering.store import closing

def close(killed_at):
    calls = 0
    def killing(execute, sql, params, many, context):
        nonlocal calls
        calls += 1
        if calls == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, params, many, context)
    with connection.execute_wrapper(killing):
        closing.close(date.fromisoformat(sys.argv[1]))
    os._exit(0)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        close(int(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def closers(database_url: str) -> subprocess.Popen[str]:
    """For each number that it is told it starts a closer, which dies at that statement, and tells how it ended."""
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, DAY.isoformat()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "DATABASE_URL": database_url},
    )  # fmt: skip


def test_a_closer_that_is_killed_at_any_statement_loses_nothing_and_the_next_one_closes(database_url: str) -> None:
    record(*(poll(number) for number in range(10)))
    before = everything()
    with closers(database_url) as process:
        assert process.stdin
        assert process.stdout
        for statement in range(1, 100):
            process.stdin.write(f"{statement}\n")
            process.stdin.flush()
            status = int(process.stdout.readline())
            assert everything() == before, f"killed at statement {statement}"
            if status == 0:
                break
            assert status == -signal.SIGKILL
            record(poll(100 + statement))  # writers go on, whatever is left half done
            before = everything()
        process.stdin.close()

    assert 15 < statement < 99
    assert closing.close(DAY) == len(before)
    assert everything() == before
    assert tables() == set()
    assert faults() == []


@contextmanager
def a_reader_that_stays() -> Iterator[threading.Event]:
    """A transaction that has read the day and goes on; it ends when the event is set."""
    reading_, end = threading.Event(), threading.Event()

    def read() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"BEGIN; SELECT count(*) FROM {TABLE}")
            reading_.set()
            end.wait(60)
            cursor.execute("COMMIT")
        connections.close_all()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert reading_.wait(30)
        yield end
    finally:
        end.set()
        thread.join(30)


def test_a_change_waits_for_a_reader_and_writers_get_on_meanwhile() -> None:
    record(poll(1))
    swapped = threading.Event()

    def change() -> None:
        def work(cursor: Any) -> None:
            cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")

        partitions.change(work)
        swapped.set()
        connections.close_all()

    with a_reader_that_stays() as end:
        thread = threading.Thread(target=change)
        thread.start()
        for number in range(2, 6):
            record(poll(number))
        assert not swapped.is_set()
        end.set()
        thread.join(30)

    assert swapped.is_set()
    assert Sample.objects.count() == 250


def test_a_change_that_is_kept_waiting_gives_up() -> None:
    record(poll(1))

    def work(cursor: Any) -> None:
        cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")

    with a_reader_that_stays(), pytest.raises(OperationalError, match="lock timeout"):
        partitions.change(work, patience=0.3)


def test_the_copy_has_every_index_before_it_is_swapped_for_writers_wait_then() -> None:
    record(poll(1))
    plan = closing._begin(DAY)
    assert plan is not None

    closing._copy(plan)

    assert indexes(plan.copy) == indexes(TABLE) == indexes("sample")


def test_a_partition_that_went_meanwhile_is_not_brought_back() -> None:
    record(*(poll(number) for number in range(3)))
    plan = closing._begin(DAY)
    assert plan is not None
    closing._index_what_comes(plan)
    copy, count = closing._copy(plan)
    rows(f"DROP TABLE {TABLE}; SELECT 1")

    with pytest.raises(Overtaken):
        partitions.change(partial(closing._swap, plan=plan, copy=copy, rows=count))

    partitions.forget()
    record(poll(1))
    assert Sample.objects.count() == 50
