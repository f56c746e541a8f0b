"""Stored samples are verified in bulk, in several processes and from where it was left, with the same result."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from metering.models import Sample
from metering.models.questions import Window
from metering.store import partitions, raw_rows, verification
from metering.store.raw_rows import Choice, Part
from metering.store.verification import Result, Verifier
from tests.commands import manage
from tests.factories import CEILOMETER_SECRET, KEYS, NOON, at, reading
from tests.metering.storing import batch, faults, foreign, record, whole

DAY = 86_400
TWO_DAYS = Choice(Window(at(-3_600), at(DAY + 3_600)))  # other tests leave empty partitions of theirs
KEPT = f"k1:{'a secret of the tests'}"  # as tests.factories.KEYS has it


def store_two_days() -> None:
    record(
        batch(*(reading(n, 60 * n, resource=f"r-{n % 3}", origin="o", metadata={"n": n % 2}) for n in range(9))),
        batch(*(reading(n, DAY + 60 * n, resource=f"r-{n % 3}", origin="o") for n in range(9))),
        whole(foreign()),
    )


def check(choice: Choice | None = None, pieces: int = 1) -> Result:
    verifier, total = Verifier(KEYS, (CEILOMETER_SECRET,)), Result()
    for part in raw_rows.parts(choice or Choice(), pieces):
        found = verifier.check(choice or Choice(), part)
        total.samples += found.samples
        total.reasons += found.reasons
        total.named += found.named
    return total


def change(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("pieces", [1, 2, 7, 50])
def test_however_the_days_are_cut_each_sample_is_checked_once(pieces: int) -> None:
    store_two_days()

    parts = raw_rows.parts(TWO_DAYS, pieces)

    assert check(TWO_DAYS, pieces) == Result(samples=19)
    assert [part.day for part in parts] == sorted(part.day for part in parts)
    assert len({part.day for part in parts}) == 2
    assert len(parts) <= 2 * pieces


@pytest.mark.usefixtures("ledger")
def test_pages_of_raw_rows_go_through_all_samples_in_the_order_of_their_key() -> None:
    store_two_days()
    [first, second] = raw_rows.parts(TWO_DAYS)

    found = [[raw_rows.key_of(row) for row in page] for page in raw_rows.pages(first, TWO_DAYS, size=4)]

    assert [len(page) for page in found] == [4, 4, 2]
    assert [key for page in found for key in page] == list(
        Sample.objects.filter(ts__lt=partitions.bounds(second.day)[0])
        .order_by("series_id", "ts", "message_id")
        .values_list("pk", flat=True)
    )


CHANGES = {
    "a volume": "UPDATE sample SET volume = volume + 1 WHERE volume = 5",
    "a volume by one bit": "UPDATE sample SET volume = '-0' WHERE volume = 0",
    "a signature": "UPDATE sample SET signature = sha256('x') WHERE volume = 5",
    "a short signature": "UPDATE sample SET signature = '' WHERE volume = 5",
    "a long signature": "UPDATE sample SET signature = signature || signature WHERE volume = 5",
    "a time by a microsecond": "UPDATE sample SET ts = ts + interval '1 microsecond' WHERE volume = 5",
    "an id": "UPDATE sample SET message_id = gen_random_uuid() WHERE volume = 5",
    "an owner": "UPDATE series SET project_id = 'blue' WHERE resource_id = 'r-1'",
    "no owner": "UPDATE series SET project_id = NULL WHERE resource_id = 'r-1'",
    "a metadata": "UPDATE resource_metadata SET body = '{}' WHERE body LIKE '%1%'",
    "a publisher": "UPDATE signer SET publisher = 'compute/other' WHERE scheme = 'n1'",
    "a scheme": "UPDATE signer SET scheme = 'ceilometer'",
    "an unknown secret": "UPDATE signer SET kid = 'k9' WHERE scheme = 'n1'",
    "a foreign text": "UPDATE sample_original SET body = replace(body, 'cpu', 'gpu')",
    "a foreign text gone": "DELETE FROM sample_original",
}


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES)
def test_in_bulk_as_many_fail_and_for_the_same_reasons_as_one_by_one(statement: str) -> None:
    store_two_days()
    assert not faults()
    change(statement)

    found = check(pieces=3)

    assert found.samples == 19
    assert sorted(found.reasons.elements()) == sorted(faults())
    assert found.reasons.total() > 0
    assert sorted(fault.reason for fault in found.named) == sorted(found.reasons.elements())


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("table", ["series", "resource_metadata", "signer"])
def test_a_sample_that_refers_to_nothing_is_named(table: str) -> None:
    store_two_days()
    change(f"DELETE FROM {table}")

    found = check(pieces=3)

    assert found.reasons == {verification.ORPHAN: 19}
    assert {fault.message_id for fault in found.named} == set(Sample.objects.values_list("message_id", flat=True))


@pytest.mark.usefixtures("ledger")
def test_only_so_many_faults_are_named_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "MOST_NAMED", 3)
    store_two_days()
    change("UPDATE sample SET volume = volume + 1")

    found = Verifier(KEYS, (CEILOMETER_SECRET,)).check(Choice(), Part(NOON.date()))

    assert (len(found.named), found.reasons.total()) == (3, 10)


class Interrupting(StringIO):
    """An output during which Ctrl-C is pressed."""

    def write(self, text: str) -> int:
        raise KeyboardInterrupt


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERING_SECRETS", KEPT)
    monkeypatch.setenv("METERING_CEILOMETER_SECRETS", CEILOMETER_SECRET)


@pytest.mark.usefixtures("ledger", "secrets")
def test_interrupted_it_says_where_to_go_on_and_goes_on_there() -> None:
    store_two_days()
    change(f"UPDATE sample SET volume = volume + 1 WHERE ts >= '{NOON:%Y-%m-%d}'::date + 1")
    told = StringIO()

    with pytest.raises(SystemExit) as exc:
        call_command("verify_samples", stdout=Interrupting(), stderr=told)

    assert exc.value.code == 130
    assert told.getvalue().split() == ["interrupted;", "go", "on", "with", "--from-day", "2026-11-24"]
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("verify_samples", "--from-day", "2026-11-24", stdout=out)
    assert out.getvalue().splitlines()[-2:] == ["0 of 9 samples verify", "9: the signature does not fit what is stored"]


@pytest.mark.usefixtures("shared_ledger")
def test_several_processes_find_what_one_finds(database_url: str) -> None:
    store_two_days()
    change("UPDATE sample SET volume = volume + 1 WHERE volume = 5")
    told = {"DATABASE_URL": database_url, "METERING_SECRETS": KEPT, "METERING_CEILOMETER_SECRETS": CEILOMETER_SECRET}

    lines = [manage("verify_samples", "--processes", count, status=1, **told).splitlines() for count in ("1", "3")]

    assert lines[1][-2:] == ["17 of 19 samples verify", "2: the signature does not fit what is stored"]
    assert sorted(lines[0]) == sorted(lines[1])


@pytest.mark.usefixtures("secrets")
def test_no_process_at_all_is_refused() -> None:
    with pytest.raises(CommandError, match="--processes must be 1 or more"):
        call_command("verify_samples", "--processes", "0")
