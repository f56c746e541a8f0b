"""No stored day can be changed, shortened or grown unnoticed, and an expired one says what it had."""

from __future__ import annotations

import hashlib
import re
import subprocess
from datetime import date, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import InternalError, connection, transaction

from metering.models import Digest
from metering.store import digest_check, digests, watermarks
from metering.store.partitions import bounds
from metering.tasks.control import seal_days
from tests.factories import KEYS, NOON, reading
from tests.metering.storing import batch, foreign, record, whole

DAY = NOON.date()


@pytest.fixture(autouse=True)
def _later(ledger: None) -> None:
    """Whenever these tests run, their day is over: a cut is never before an earlier one."""
    with watermarks.exclusive() as cursor:
        watermarks.cut(cursor)
        cursor.execute("UPDATE rollup_state SET cut = GREATEST(cut, '2026-12-01 00:00+00')")


def store(count: int, *, first: int = 0) -> None:
    record(batch(*(reading(n, 60 * n, resource=f"r-{n % 3}", origin="o") for n in range(first, first + count))))


def seal() -> list[Digest]:
    return list(digests.seal(KEYS))


def faults() -> list[str]:
    return [
        *digest_check.faults_of_chain(KEYS),
        *(found for day in digest_check.sealed_days() for found in day_faults(day)),
    ]


def day_faults(day: date) -> list[str]:
    return digest_check.faults_of_day(day)


def change(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def change_digests(statement: str) -> None:
    """As whoever owns the database can."""
    change("ALTER TABLE sample_digest DISABLE TRIGGER keep_digests")
    change(statement)


def test_a_day_that_is_over_is_sealed_once() -> None:
    store(5)
    record(whole(foreign()))

    [made] = seal()

    assert (made.number, made.day, made.generation, made.kind, made.after, made.samples) == (
        1, DAY, 1, "samples", None, 6,
    )  # fmt: skip
    assert seal() == []
    assert faults() == []


def test_what_comes_late_makes_a_generation_of_its_own_and_leaves_the_old_ones() -> None:
    store(5)
    [first] = seal()
    store(6)  # five of them are known already

    [second] = seal()

    assert (second.number, second.generation, second.samples, second.after) == (2, 2, 1, first.until)
    assert bytes(second.previous) == bytes(first.digest)
    assert faults() == []


def test_a_day_is_left_alone_until_its_late_samples_are_in() -> None:
    store(1)
    change("UPDATE sample SET recorded_at = ts")
    settled = bounds(DAY)[1] + digests.SETTLED

    assert digests.due(settled - timedelta(seconds=1)) == []
    assert digests.due(settled) == [DAY]


CHANGES = {
    "a volume": ("UPDATE sample SET volume = 7 WHERE volume = 1", "generation 1: samples were changed"),
    "a metadata": ("UPDATE sample SET metadata_id = 0 WHERE volume = 1", "generation 1: samples were changed"),
    "a text": ("UPDATE sample_original SET body = '{}'", "generation 1: samples were changed"),
    "a row less": ("DELETE FROM sample WHERE volume = 1", "generation 1: it had 6 samples, and 5 are there"),
    "the day gone": ("DELETE FROM sample", "generation 1: it had 6 samples, and 0 are there"),
    "a row more": (
        "INSERT INTO sample SELECT ts + interval '1 s', volume, recorded_at, series_id, metadata_id, signer_id, "
        "message_id, signature FROM sample WHERE volume = 1",
        "generation 1: it had 6 samples, and 7 are there",
    ),
    "another time of recording": (
        "UPDATE sample SET recorded_at = '2027-01-01' WHERE volume = 1",
        "generation 1: it had 6 samples, and 5 are there",
    ),
}


@pytest.mark.parametrize(("statement", "fault"), CHANGES.values(), ids=CHANGES)
def test_a_changed_day_is_found_out(statement: str, fault: str) -> None:
    store(5)
    record(whole(foreign()))
    seal()

    change(statement)

    assert faults() == [f"{DAY} {fault}"]


def two_generations() -> None:
    store(3)
    seal()
    store(3, first=3)
    seal()
    assert (Digest.objects.count(), faults()) == (2, [])


FORGERIES = {
    "a count": ("UPDATE sample_digest SET samples = 2 WHERE number = 1", "row 1: it was changed"),
    "the first gone": (
        "DELETE FROM sample_digest WHERE number = 1",
        "row 2: it follows row 0, and one between them is gone",
    ),
    "a signature": ("UPDATE sample_digest SET signature = '' WHERE number = 2", "row 2: there is no signature"),
    "another link": (
        "UPDATE sample_digest SET previous = sha256('x') WHERE number = 2",
        "row 2: it is not linked to the row before it",
    ),
    "a span": (
        "UPDATE sample_digest SET after = after + interval '1 second' WHERE number = 2",
        f"row 2: a time of {DAY} is covered twice, or not at all",
    ),
}


@pytest.mark.parametrize(("statement", "fault"), FORGERIES.values(), ids=FORGERIES)
def test_a_changed_chain_is_found_out(statement: str, fault: str) -> None:
    two_generations()

    change_digests(statement)

    assert fault in list(digest_check.faults_of_chain(KEYS))


def test_the_last_row_of_the_chain_is_missed_by_whoever_kept_its_head() -> None:
    two_generations()
    head = digest_check.head_text()
    assert digest_check.fault_of_head(head) is None
    store(1, first=9)
    seal()
    assert digest_check.fault_of_head(head) is None

    change_digests("DELETE FROM sample_digest WHERE number > 1")

    assert list(digest_check.faults_of_chain(KEYS)) == []
    assert digest_check.fault_of_head(head) == "the known head is row 2, and the chain has none of this number"
    assert digest_check.fault_of_head(f"1:{'0' * 64}") == "row 1 of the chain is not the one that was handed out"
    assert digest_check.fault_of_head(f"0:{'0' * 64}") is None
    with pytest.raises(ValueError, match="not of the form number:digest"):
        digest_check.fault_of_head("the last one")


@pytest.mark.parametrize("statement", ["UPDATE sample_digest SET samples = 1", "DELETE FROM sample_digest"])
def test_the_database_itself_refuses_to_change_the_chain(statement: str) -> None:
    two_generations()

    with pytest.raises(InternalError, match="append-only"), transaction.atomic():
        change(statement)


def test_an_expired_day_says_what_it_had() -> None:
    two_generations()
    kept = [bytes(row.hash) for row in Digest.objects.order_by("number")]

    with transaction.atomic():
        last = digests.dropped(DAY, KEYS)
        change("DELETE FROM sample")

    assert last is not None
    assert (last.kind, last.generation, last.samples) == ("dropped", 3, 6)
    assert bytes(last.hash) == hashlib.sha256(b"".join(kept)).digest()
    assert digests.dropped(DAY, KEYS) is None  # said already
    assert faults() == []
    assert seal() == []


def test_before_a_day_is_dropped_what_came_since_its_last_generation_is_sealed() -> None:
    store(3)
    seal()
    store(1, first=3)

    made = digests.seal_expiring(DAY, KEYS)

    assert made is not None
    assert (made.generation, made.samples) == (2, 1)
    dropped = digests.dropped(DAY, KEYS)
    assert dropped is not None
    assert dropped.samples == 4


def test_a_day_that_never_had_a_sample_is_dropped_without_a_word() -> None:
    assert digests.seal_expiring(DAY, KEYS) is None
    assert digests.dropped(DAY, KEYS) is None


def test_samples_of_a_day_that_is_said_to_be_dropped_are_found_out() -> None:
    two_generations()

    digests.dropped(DAY, KEYS)

    assert faults() == [f"{DAY}: it was dropped, and 6 samples of it are there"]


def test_a_day_that_was_dropped_and_loaded_again_begins_anew() -> None:
    two_generations()
    digests.dropped(DAY, KEYS)
    change("DELETE FROM sample")
    store(2)

    [again] = seal()

    assert (again.generation, again.samples) == (4, 2)
    assert faults() == []


def test_of_two_that_seal_at_once_one_does_nothing() -> None:
    store(2)
    with watermarks.exclusive() as cursor:
        until = watermarks.cut(cursor)
    made = digests.seal_day(DAY, until, KEYS)

    assert made is not None
    assert digests.seal_day(DAY, until, KEYS) is None
    assert digests.seal_day(DAY, until - timedelta(hours=1), KEYS) is None


def test_a_day_with_more_samples_than_wanted_is_left_and_named(caplog: pytest.LogCaptureFixture) -> None:
    store(2)

    assert list(digests.seal(KEYS, most=-1)) == []

    assert f"{DAY} has too many samples to be sealed by the way: run manage.py seal_days" in caplog.text


def test_the_control_worker_seals_what_is_over() -> None:
    store(2)

    seal_days()

    assert [(row.day, row.samples) for row in Digest.objects.all()] == [(DAY, 2)]


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERING_SECRETS", "k1:a secret of the tests")


def run(command: str, *arguments: str) -> tuple[int, list[str]]:
    out = StringIO()
    try:
        call_command(command, *arguments, stdout=out, stderr=StringIO())
    except SystemExit as exc:
        return int(exc.code or 0), out.getvalue().splitlines()
    return 0, out.getvalue().splitlines()


@pytest.mark.usefixtures("secrets")
def test_the_commands_seal_check_and_hand_out_the_head() -> None:
    store(2)
    assert run("seal_days", "--dry-run") == (0, [f"{DAY} is due"])
    assert run("verify_samples", "--digests")[1][0] == f"not sealed yet: {DAY}"

    status, lines = run("seal_days")
    head = digest_check.head_text()

    assert (status, lines) == (0, [f"{DAY} generation 1: 2 samples", f"the head is {head}"])
    assert run("verify_samples", "--head") == (0, [head])
    assert run("verify_samples", "--known-head", head) == (0, [f"1 days checked, 0 faults; the head is {head}"])
    change("DELETE FROM sample WHERE volume = 0")
    fault = f"{DAY} generation 1: it had 2 samples, and 1 are there"
    assert run("verify_samples", "--digests") == (1, [fault, f"1 days checked, 1 faults; the head is {head}"])
    assert run("verify_samples", "--known-head", f"7:{'0' * 64}")[0] == 1


def test_psql_and_sha256sum_recompute_a_hash_as_the_guide_tells(shared_ledger: None, database_url: str) -> None:
    store(4)
    record(whole(foreign()))
    with watermarks.exclusive() as cursor:
        until = watermarks.cut(cursor)
    made = digests.seal_day(DAY, until, KEYS)
    assert made is not None
    guide = (Path(__file__).parents[2] / "docs/audit.md").read_text()
    [script] = re.findall(r"psql -qAt <<'SQL' \| sha256sum\n(.*?)    SQL\n", guide, re.DOTALL)
    script = script.replace("2026-11-24T01:00:00.123456+00:00", until.isoformat())

    told = subprocess.run(["psql", "-qAt", database_url], input=script.encode(), capture_output=True, check=True).stdout

    assert hashlib.sha256(told).digest() == bytes(made.hash)
