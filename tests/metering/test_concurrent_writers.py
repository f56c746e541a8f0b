"""Many writers on the same samples: no deadlock, every sample once, every partition made once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial

import pytest
from django.db import connection, connections, transaction

from metering.memory import Memory
from metering.messages import Poll
from metering.models import Node, PollSlot, Quarantine, Resource, ResourceMetadata, Sample, Series, Signer
from metering.store import keys, partitions
from tests.factories import NOON, reading
from tests.metering.storing import batch, faults, foreign, record, whole

pytestmark = pytest.mark.usefixtures("shared_ledger")

WRITERS = 6


def at_once(work: list[Callable[[], object]]) -> None:
    """Run them all in threads of their own, which begin together; raises what one of them raised."""
    begin = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> None:
        begin.wait(30)
        try:
            one()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(work)) as pool:
        for done in [pool.submit(run, one) for one in work]:
            done.result(60)


def test_overlapping_batches_are_stored_once_by_any_number_of_writers() -> None:
    readings = [
        reading(
            number,
            3_600 * (number % 40),
            resource=f"r-{number % 13}",
            project=f"p-{number % 3}",
            metadata={"n": number % 7},
            origin=f"o{number}",
        )
        for number in range(240)
    ]
    order = random.Random(7)
    texts = [whole(foreign(message_id=f"foreign {number}", resource_id=f"r-{number % 5}")) for number in range(20)]
    for start in range(0, 240, 20):
        texts.append(batch(*readings[start : start + 60], poll=Poll("default", start, 0, NOON, 1)))
        texts.append(batch(*reversed(readings[max(0, start - 30) : start + 25])))
    texts += [text.replace(":", ": ", 1)[:-9] for text in texts[:3]]  # no batches: for quarantine

    def writer(seed: int) -> Callable[[], object]:
        mine = [*texts]
        random.Random(seed).shuffle(mine)

        def write() -> None:
            for text in mine:
                if order.random() < 0.3:
                    keys.forget()  # as another process, that has not seen these rows
                    partitions.forget()
                record(text)

        return write

    at_once([writer(seed) for seed in range(WRITERS)])

    assert Sample.objects.count() == 240 + 20
    assert Series.objects.count() == len({(item.resource_id, item.project_id) for item in readings}) + 5
    assert ResourceMetadata.objects.count() == 7 + 1
    assert Signer.objects.count() == 2
    assert Resource.objects.count() == 13
    assert Node.objects.get(publisher="compute/host-1")
    assert PollSlot.objects.count() == 12
    assert {slot.received for slot in PollSlot.objects.all()} == {1}
    assert sorted(row.count for row in Quarantine.objects.all()) == [WRITERS] * 3
    assert faults() == []


def test_writers_that_make_the_same_rows_in_other_orders_do_not_deadlock() -> None:
    for part in range(3):
        readings = [
            reading(1, resource=f"r-{part}-{number}", metadata={"n": number, "part": part}, origin="o")
            for number in range(500)
        ]
        texts = [batch(*random.Random(seed).sample(readings, len(readings))) for seed in range(WRITERS)]

        at_once([partial(record, text) for text in texts])

    assert Sample.objects.count() == Resource.objects.count() == Series.objects.count() == 1_500


def test_a_partition_is_made_once_by_any_number_of_makers() -> None:
    days = [date(2031, 1, 1) + timedelta(days=number) for number in range(6)]

    def make() -> None:
        for day in random.Random().sample(days, len(days)):
            partitions.ensure([day])
            partitions.forget()

    at_once([make] * WRITERS)

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname ~ '_2031' AND relkind = 'r' AND relispartition")
        assert cursor.fetchone() == (2 * len(days),)


@contextmanager
def a_writer_in_the_middle() -> Iterator[None]:
    """Another connection that has written into the table and has not committed yet."""
    written, commit = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            columns = "volume, recorded_at, series_id, metadata_id, signer_id, signature"
            cursor.execute(
                f"INSERT INTO sample (ts, message_id, {columns}) SELECT ts, gen_random_uuid(), {columns} FROM sample"
            )
            written.set()
            commit.wait(30)
        connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert written.wait(30)
        yield
    finally:
        commit.set()
        thread.join(30)


def test_a_partition_is_made_beside_a_writer_that_has_not_committed_yet() -> None:
    record(batch(reading(1)))
    with a_writer_in_the_middle():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        try:
            record(batch(reading(2, -86_400 * 400)))
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")

    assert Sample.objects.count() == 3


def test_a_partition_that_was_left_half_made_is_attached() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE sample_20320101 (LIKE sample INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")

    partitions.ensure([date(2032, 1, 1)])
    partitions.ensure([date(2032, 1, 1)])

    with connection.cursor() as cursor:
        cursor.execute("SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = 'sample_20320101'::regclass")
        assert cursor.fetchall() == [("sample",)]
        cursor.execute("SELECT indisprimary FROM pg_index WHERE indisunique AND indrelid = 'sample_20320101'::regclass")
        assert cursor.fetchall() == [(True,)]


def test_what_was_rolled_back_is_not_remembered() -> None:
    text = batch(reading(1))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sample ADD CONSTRAINT refused CHECK (volume <> 1)")
    try:
        record(text)
        assert Sample.objects.count() == 0
        assert Quarantine.objects.count() == 1
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE sample DROP CONSTRAINT refused")

    record(text)

    assert Sample.objects.count() == 1
    assert faults() == []


@pytest.mark.parametrize("most", [1, 3, 100])
def test_a_memory_that_is_full_begins_anew_and_finds_the_same_ids(most: int) -> None:
    asked: list[list[str]] = []

    def find(items: object) -> list[int]:
        assert isinstance(items, list)
        asked.append(items)
        return [int(item) for item in items]

    memory: keys._Known[str, str] = keys._Known(Memory(most), find)

    for wanted in (["1", "2"], ["2", "3"], ["1"], ["1", "2", "3", "4"]):
        assert memory.ids({key: key for key in wanted}) == {key: int(key) for key in wanted}
    assert memory.ids({"5" * 5_000: "5"}) == {"5" * 5_000: 5}
    assert len(memory._memory) <= 2 * most
    assert asked[0] == ["1", "2"]
