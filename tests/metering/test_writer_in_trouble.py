"""The server dies under a COPY, its disk is full, clocks step, fields are absurd: nothing lost, nothing half."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from django.db import connection, connections

from metering import messages
from metering.errors import StoreAway
from metering.messages import Poll
from metering.models import Node, PollSlot, Quarantine, Resource, Sample
from metering.sifting import Rules, Sifter
from metering.store import writing
from tests.factories import CEILOMETER_SECRET, KEYS, NOON, at, reading
from tests.installation import wait_for
from tests.metering.storing import batch, faults, foreign, quarantined, record, volumes, whole

STRICT = Rules(KEYS, (CEILOMETER_SECRET,), timedelta(days=30), timedelta(minutes=10))
HOLD = 42  # an advisory lock


@contextmanager
def on_insert(body: str) -> Iterator[None]:
    """A trigger that does this before a sample of the volume 5 is stored."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;"
            "CREATE TRIGGER trouble BEFORE INSERT ON sample FOR EACH ROW WHEN (NEW.volume = 5) "
            "EXECUTE FUNCTION trouble()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER trouble ON sample; DROP FUNCTION trouble()")


@contextmanager
def held(database_url: str) -> Iterator[Any]:
    """Somebody else's connection, who has the lock `HOLD`."""
    other = psycopg2.connect(database_url)
    other.autocommit = True
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [HOLD])
            yield cursor
    finally:
        other.close()


def readings() -> str:
    return batch(*(reading(number, number, origin="o") for number in range(10)), poll=Poll("default", 7, 0, NOON, 1))


@pytest.mark.usefixtures("shared_ledger")
def test_a_connection_that_is_lost_in_the_middle_of_copy_leaves_nothing_and_the_next_attempt_stores_all(
    database_url: str,
) -> None:
    found: list[BaseException] = []

    def write() -> None:
        try:
            record(readings())
        except StoreAway as exc:
            found.append(exc)
        connections.close_all()

    with on_insert(f"PERFORM pg_advisory_xact_lock({HOLD});"), held(database_url) as other:

        def copying() -> bool:
            other.execute(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY sample%' AND wait_event = 'advisory'"
            )
            return bool(other.rowcount == 1)

        thread = threading.Thread(target=write)
        thread.start()
        wait_for(copying, "a COPY that waits in its middle")
        other.execute("SELECT pg_terminate_backend(%s)", other.fetchone())
        thread.join(30)

    assert len(found) == 1
    assert Sample.objects.count() == Resource.objects.count() == PollSlot.objects.count() == 0

    record(readings())

    assert volumes() == list(range(10))
    assert PollSlot.objects.get().received == 1


@pytest.mark.usefixtures("shared_ledger")
def test_a_full_disk_is_waited_for_and_leaves_nothing_half_stored() -> None:
    with (
        on_insert("RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';"),
        pytest.raises(StoreAway, match="No space left"),
    ):
        record(readings())
    assert Sample.objects.count() == Node.objects.count() == Quarantine.objects.count() == 0

    record(readings())

    assert volumes() == list(range(10))


@pytest.mark.usefixtures("ledger")
def test_a_worker_whose_clock_steps_back_keeps_what_seems_to_come_from_the_future() -> None:
    text = batch(reading(1, origin="o"))
    sifter = Sifter(STRICT)
    stepped = sifter.sift(messages.read(text), at(-3_600))
    writing.record(stepped, at(-3_600))
    assert [reason for reason, _ in quarantined()] == [
        f"timestamp {NOON.isoformat()} lies more than 600 s ahead (METERING_AHEAD_SECONDS)"
    ]

    writing.record(sifter.sift(messages.read(text), at(60)), at(60))  # as a replay does

    assert (volumes(), faults()) == ([1], [])


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("years", [-60, -40, -3, 3, 200, 5_000])
def test_a_time_that_is_years_off_is_kept_with_its_reason_and_makes_no_partition(years: int) -> None:
    moment = NOON.replace(year=NOON.year + years)
    seconds = (moment - NOON).total_seconds()
    stray = batch(reading(5, seconds, origin="o"), reading(1, origin="o"))
    sifted = Sifter(STRICT).sift(messages.read(stray), at(1)) if years > -56 else None
    texts = [whole(foreign(timestamp=moment.isoformat()))]
    found = [sifted, *(Sifter(STRICT).sift(messages.read(text), at(1)) for text in texts)]

    for one in filter(None, found):
        writing.record(one, at(1))

    assert volumes() == ([1] if years > -56 else [])
    assert len(quarantined()) == len([one for one in found if one])
    assert all("timestamp" in reason for reason, _ in quarantined())
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"sample_{moment:%Y%m%d}"])
        assert cursor.fetchone() == (None,)


LONG = "x" * 10_000
LARGE = {"large": "x" * 1_000_000}


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("place", [0, 2, 4, 5, 6, 9], ids=["meter", "unit", "user", "project", "resource", "id"])
def test_a_row_with_a_text_of_ten_thousand_characters_is_alone_in_quarantine(place: int) -> None:
    parts = json.loads(batch(*(reading(number, number, origin="o") for number in range(3))))
    parts["rows"][1][place] = LONG

    record(json.dumps(parts))

    assert volumes() == [0, 2]
    [(reason, _)] = quarantined()
    assert "longer than 1024 characters" in reason
    assert LONG.encode() in bytes(Quarantine.objects.get().body)


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    "field", ["source", "counter_name", "counter_unit", "user_id", "project_id", "resource_id", "message_id"]
)
def test_a_foreign_message_with_a_text_of_ten_thousand_characters_is_alone_in_quarantine(field: str) -> None:
    record(whole(foreign(**{field: LONG}), foreign()))

    assert volumes() == [7]
    [(reason, _)] = quarantined()
    assert reason.startswith(f"{field} is longer than 1024 characters")


@pytest.mark.usefixtures("ledger")
def test_metadata_of_a_megabyte_is_alone_in_quarantine() -> None:
    parts = json.loads(batch(*(reading(number, number, origin="o") for number in range(3))))
    parts["metadata"].append(json.dumps(LARGE, separators=(",", ":")))
    parts["rows"][1][8] = 1

    record(json.dumps(parts), whole(foreign(resource_metadata=LARGE)))

    assert volumes() == [0, 2]
    assert [reason for reason, _ in quarantined()] == ["resource_metadata is longer than 65536 bytes"] * 2
    assert all(len(row.body) > 1_000_000 for row in Quarantine.objects.all())
