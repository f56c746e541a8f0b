"""Archives and stored samples, sent again and loaded back: the same rows, and every one verifies."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import kombu
import pytest
from django.core.management import CommandError
from django.db import connection

from metering import messages
from metering.models import LedgerDay, Sample
from metering.store import archive, leases, partitions, retention, watermarks
from metering.topology import SAMPLES
from tests.factories import KEYS, at, reading
from tests.metering.storing import batch, faults, record, whole
from tests.metering.test_archive import DAY, NAME, ROOT, _settings, forget_everything, run, store_some, stored

__all__ = ["_settings"]  # the fixture counts here, too

pytestmark = pytest.mark.usefixtures("shared_ledger")


# replay_samples


@pytest.fixture
def queue(rabbitmq_url: str) -> Any:
    with kombu.Connection(rabbitmq_url) as broker:
        bound = SAMPLES(broker.default_channel)
        bound.declare()
        yield rabbitmq_url, bound


def taken(bound: Any) -> list[str]:
    """The batches in the queue."""
    texts = []
    while message := bound.get(no_ack=True):
        [[text], _, _] = json.loads(message.body)
        texts.append(text)
    return texts


def test_what_was_archived_and_expired_is_loaded_back_as_the_same_rows_and_verifies(tmp_path: Path, queue: Any) -> None:
    url, bound = queue
    store_some()
    before = stored()
    with watermarks.exclusive() as cursor:
        watermarks.advance(cursor, rolled=at(86_400 * 100))
    retention.expire(retention.expired(at(86_400 * 40), 30), tmp_path, KEYS)
    assert not Sample.objects.exists()
    forget_everything()

    assert run("replay_samples", tmp_path / NAME, "--url", url) == "13 samples sent\n"
    record(*taken(bound))

    assert stored() == before
    assert faults() == []
    run("replay_samples", tmp_path / NAME, "--url", url)
    record(*taken(bound))
    assert stored() == before


def test_stored_samples_are_sent_again_as_they_are_stored(queue: Any) -> None:
    url, bound = queue
    store_some()
    before = stored()

    assert run("replay_samples", "--url", url) == "13 samples sent\n"
    forget_everything()
    record(*taken(bound))

    assert stored() == before
    assert faults() == []


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        (("--meter", "cpu"), 13), (("--meter", "none"), 0), (("--resource", "web-1"), 10), (("--project", "red"), 10),
        (("--start", at(5).isoformat()), 5), (("--end", at(5).isoformat(), "--resource", "web-1"), 5),
    ],
)  # fmt: skip
def test_stored_samples_are_chosen_by_time_meter_resource_and_project(chosen: tuple[str, ...], count: int) -> None:
    store_some()

    assert run("replay_samples", "--dry-run", *chosen) == f"{count} samples (dry run: nothing was sent)\n"


def test_each_message_may_go_alone_to_an_exchange_of_others(queue: Any) -> None:
    url, _ = queue
    store_some()
    with kombu.Connection(url) as broker:
        theirs = kombu.Queue("theirs", kombu.Exchange("others", "topic"), routing_key="metering.cpu")
        theirs(broker.default_channel).declare()

        assert run("replay_samples", "--url", url, "--exchange", "others") == "13 samples sent\n"

        bound, found = theirs(broker.default_channel), []
        while message := bound.get(no_ack=True):
            found.append(message.payload)
    assert len(found) == 13
    forget_everything()
    record(whole(*found))
    assert faults() == []
    with pytest.raises(CommandError, match="the exchange 'nobody' did not take a message"):
        run("replay_samples", "--url", url, "--exchange", "nobody")


def test_a_replay_that_was_interrupted_goes_on_where_it_was(tmp_path: Path, queue: Any) -> None:
    url, bound = queue
    store_some()
    before = stored()
    path = archive.write(DAY, tmp_path).path

    for rest in ((path,), ()):
        place = interrupted(url, *rest)
        first = taken(bound)
        run("replay_samples", *rest, "--url", url, *place)
        texts = first + taken(bound)
        sent = [message["message_id"] for text in texts for message in messages.unpack(text)]
        assert (len(sent), len(set(sent))) == (13, 13)
    forget_everything()
    record(*texts)
    assert stored() == before


def interrupted(url: str, *rest: Path) -> list[str]:
    """Send some, slowly, and interrupt it after the first two; what it says to go on with."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "replay_samples", *map(str, rest), "--url", url, "--rate", "1"],
        cwd=ROOT, env={**os.environ, "DATABASE_URL": database()}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert "interrupted. 2 samples were sent; go on with --" in done.stderr
    return done.stderr.strip().splitlines()[-1].rpartition("go on with ")[2].split()


# Ctrl-C while it waits for the second time.
INTERRUPTED = """
import sys, time
waited = []
def interrupt(seconds):
    waited.append(seconds)
    if len(waited) == 2:
        raise KeyboardInterrupt
time.sleep = interrupt
from manage import main
main()
"""


def database() -> str:
    told = connection.settings_dict
    return f"postgresql://{told['USER']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"


def test_a_rate_is_kept_by_waiting(queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url, bound = queue
    store_some()
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)

    run("replay_samples", "--url", url, "--rate", "5")

    assert [len(list(messages.unpack(text))) for text in taken(bound)] == [5, 5, 3]
    assert len(waited) == 3
    assert waited[-1] > 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rate", "0"), "--rate must be 1 or more"),
        (("--skip", "1"), "--skip is for files"),
        (("file", "--meter", "cpu", "--after", "x"), "--meter, --after choose among stored samples"),
        (("--after", "x", "--dry-run"), "--after 'x' is no place"),
        (("no-such-file", "--dry-run"), "no-such-file: damaged after line 0: .*No such file"),
    ],
)
def test_what_does_not_go_together_is_said(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run("replay_samples", *arguments)


def test_a_broker_that_is_away_ends_a_replay_and_says_where_it_was(tmp_path: Path) -> None:
    store_some()
    path = archive.write(DAY, tmp_path).path

    with pytest.raises(CommandError, match=r"the broker did not take a batch.* 0 samples were sent"):
        run("replay_samples", path, "--url", "amqp://guest:guest@127.0.0.1:1//")


# restore_samples


def drop_days_before(moment: Any, folder: Path) -> None:
    with watermarks.exclusive() as cursor:
        watermarks.advance(cursor, rolled=moment, closing=moment)
        cursor.execute("TRUNCATE late")
    retention.expire(
        retention.Expiry(moment, [day for day in partitions.days() if day.day < moment.date()]), folder, KEYS
    )


def midnight(day: int) -> Any:
    return at().replace(day=day, hour=0)


def test_days_that_were_dropped_here_are_loaded_back_as_the_same_rows(tmp_path: Path) -> None:
    store_some()
    record(batch(*(reading(day, -86_400 * day, origin=f"o{day}") for day in range(1, 4))))
    before = stored()
    drop_days_before(midnight(24), tmp_path)
    assert stored() == []

    told = run("restore_samples", *tmp_path.glob("*.gz"))

    assert told.startswith("16 stored, 0 known, 0 in quarantine\n")
    assert "METERING_RETENTION_DAYS is 30" not in told or "drops them again" in told
    assert stored() == before
    assert faults() == []
    with connection.cursor() as cursor:
        assert watermarks.marks(cursor).raw_from == midnight(20)
        cursor.execute("SELECT count(*) FROM late")
        assert cursor.fetchone() == (0,)  # the roll-ups hold them
    record(batch(reading(9, -86_400, origin="late")))
    assert Sample.objects.count() == 17
    assert not LedgerDay.objects.filter(dropped_at__isnull=False).exists()


def test_a_restored_day_is_not_read_before_those_after_it_are_there(tmp_path: Path) -> None:
    record(batch(*(reading(day, -86_400 * day, origin=f"o{day}") for day in range(1, 4))))
    drop_days_before(midnight(24), tmp_path)

    with pytest.raises(CommandError, match="these dropped days must be loaded back too: 2026-11-21, 2026-11-22"):
        run("restore_samples", tmp_path / "samples-2026-11-20.jsonl.gz")
    with connection.cursor() as cursor:
        assert watermarks.marks(cursor).raw_from == midnight(24)

    run("restore_samples", *tmp_path.glob("*.gz"))
    run("restore_samples", *tmp_path.glob("*.gz"))
    assert Sample.objects.count() == 3


def test_a_restoring_that_was_broken_off_is_dropped_again_and_leaves_the_archive_whole(tmp_path: Path) -> None:
    store_some()
    before = stored()
    drop_days_before(midnight(24), tmp_path)
    whole_file = (tmp_path / NAME).read_bytes()
    some = tmp_path / "some.jsonl"
    some.write_bytes(b"\n".join(gzip.decompress(whole_file).split(b"\n")[:3]))
    with pytest.raises(CommandError, match="must be loaded back too: 2026-11-23"):
        run("restore_samples", some)
    assert Sample.objects.count() == 3

    drop_days_before(midnight(24), tmp_path)

    assert Sample.objects.count() == 0
    assert (tmp_path / NAME).read_bytes() == whole_file
    run("restore_samples", tmp_path / NAME)
    assert stored() == before


def test_a_forged_line_of_an_archive_is_not_restored_but_kept_with_its_reason(tmp_path: Path) -> None:
    record(batch(reading(1, origin="a"), reading(2, 1, origin="b")))
    path = archive.write(DAY, tmp_path).path
    forged = tmp_path / "forged.jsonl"
    forged.write_bytes(gzip.decompress(path.read_bytes()).replace(b'"counter_volume":2.0', b'"counter_volume":3.0'))

    assert run("restore_samples", forged).startswith("0 stored, 1 known, 1 in quarantine")
    with pytest.raises(CommandError, match=r"damaged after line 0.*\. 0 samples were read; start it again"):
        run("restore_samples", tmp_path / "none")


def test_one_process_at_a_time_changes_days(tmp_path: Path) -> None:
    with leases.held("days", timedelta(hours=1)), pytest.raises(CommandError, match="another process"):
        run("restore_samples", tmp_path / "none")
