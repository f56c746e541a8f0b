"""What was refused goes through again when its reason is gone: stored once, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from metering import messages, packing
from metering.counters import Counter, Kind
from metering.event_messages import RECORD_EVENTS
from metering.models import Event, Quarantine, Sample
from metering.signing import Keyring
from metering.store import quarantine, replaying
from metering.store.quarantine import Kept
from tests import events
from tests.collector.bodies import body, recorded
from tests.commands import ROOT, manage
from tests.installation import KEYRING, Installation, installed, wait_for

KEPT, REPLAYED = Quarantine.State.KEPT, Quarantine.State.REPLAYED
NOWHERE = "amqp://guest:guest@127.0.0.1:9//"


@pytest.fixture
def installation(tmp_path: Path, rabbitmq_url: str, database_url: str) -> Iterator[Installation]:
    with installed(tmp_path, rabbitmq_url, database_url) as made:
        made.start("samples")
        yield made


def told(installation: Installation) -> dict[str, str]:
    return {"METERING_BROKER_URL": installation.broker_url, "DATABASE_URL": installation.database_url}


def replay(installation: Installation, *chosen: str, status: int = 0) -> str:
    return manage("replay_quarantine", *chosen, status=status, **told(installation))


def batch(*volumes: float, keys: Keyring = KEYRING) -> str:
    moment = datetime.now(UTC)
    read = [Counter("cpu", Kind.GAUGE, "ns", volume, "u", "p", f"r-{volume}", moment, {}, "o") for volume in volumes]
    [text] = packing.pack(read, signer=keys.signer("compute/host-1"), source="openstack")
    return text


def message(volume: float, keys: Keyring = KEYRING) -> bytes:
    [made] = messages.unpack(batch(volume, keys=keys))
    return json.dumps(made).encode()


def keep(kind: str, content: bytes, reason: str = "refused", publisher: str = "", **details: Any) -> Quarantine:
    quarantine.keep(Kept(kind, content, reason, publisher, details), Path("/nowhere"))
    return Quarantine.objects.get(body=content)


def notification(exchange: str = "cinder", **payload: Any) -> Quarantine:
    return keep("notification", body(recorded("volume.exists", **payload)), "listener volume failed", exchange=exchange)


def test_each_kind_goes_its_way_again_and_a_second_time_changes_nothing(installation: Installation) -> None:
    keep("batch", batch(1, 2).encode())
    keep("message", message(3))
    notification()

    said = replay(installation)
    wait_for(lambda: Sample.objects.count() == 6, "every sample stored")

    assert "1 batches, 1 messages, 1 notifications sent through again (3 samples of notifications), 0 left" in said
    assert set(Quarantine.objects.values_list("state", "count")) == {(REPLAYED, 1)}
    assert "0 batches, 0 messages, 0 notifications" in replay(installation)
    Quarantine.objects.update(state=KEPT)
    replay(installation)
    wait_for(lambda: installation.log("samples").count(" known") >= 6, "the repeats found")
    assert Sample.objects.count() == 6
    assert "6 of 6 samples verify" in installation.manage("verify_samples")


def test_a_batch_of_events_goes_to_the_task_that_takes_it(installation: Installation) -> None:
    keep("batch", events.batch(events.event(1), keyring=KEYRING).encode(), task=RECORD_EVENTS)

    replay(installation)

    wait_for(Event.objects.exists, "the event stored")
    assert not Quarantine.objects.filter(state=KEPT).exists()


def test_what_is_refused_again_is_kept_again_in_its_row(installation: Installation) -> None:
    forged = keep("message", message(1, Keyring({"k1": b"somebody else's secret"})), "a reason of then")
    half = json.loads(batch(2, 3))
    half["rows"][1][3] = 99.0
    keep("batch", json.dumps(half).encode())

    replay(installation)
    wait_for(lambda: Quarantine.objects.filter(pk=forged.pk, count=2).exists(), "the forged one refused again")
    wait_for(Sample.objects.exists, "the good half stored")

    forged.refresh_from_db()
    assert forged.state == KEPT
    assert "signature does not fit" in forged.reason
    assert list(Sample.objects.values_list("volume", flat=True)) == [2]
    assert sorted(Quarantine.objects.values_list("kind", "state")) == [
        ("batch", REPLAYED), ("message", KEPT), ("message", KEPT),
    ]  # fmt: skip


BIG = "listener cinder.volume.size failed (ValueError: volume ($.payload.size) is not"
UNFIT = {
    ("batch", b"no JSON"): "it is no batch: not JSON",
    ("batch", b"\xff\xfe"): "it is no text",
    ("message", b"\xff"): "it is no text",
    ("message", b'{"header": {}, "row": []}'): "it is no metering message",
    ("message", b"[" * 5_000): "it is no metering message",
    ("message", b'"' + b"x" * 1_100_000): "it is longer than a batch may be",
    ("notification", b"{"): "malformed: its body is not JSON",
    ("notification", b'{"event_type": "un.wanted"}'): "no listener wants un.wanted",
    ("notification", body(recorded("volume.exists", size="big"))): BIG,
}


def test_what_cannot_be_used_stays_as_it_is_and_costs_no_other(installation: Installation) -> None:
    for kind, content in UNFIT:
        keep(kind, content, "a reason of then", exchange="cinder")
    keep("message", message(1))

    said = replay(installation, status=1)
    wait_for(Sample.objects.exists, "the good one stored")

    for row in Quarantine.objects.filter(state=KEPT):
        assert f"{row.kind} {row.pk} stays: {UNFIT[row.kind, bytes(row.body)]}" in said
        assert (row.reason, row.count) == ("a reason of then", 1)
    assert Quarantine.objects.filter(state=KEPT).count() == len(UNFIT)
    assert f"{len(UNFIT)} could not be used" in said


def test_a_notification_that_came_without_its_exchange_is_known_by_its_event_type(installation: Installation) -> None:
    row = notification(exchange="None")

    replay(installation, "--id", str(row.pk))

    wait_for(lambda: Sample.objects.count() == 3, "its samples stored")


def test_a_replay_that_would_differ_from_what_is_stored_says_so(installation: Installation, tmp_path: Path) -> None:
    said = recorded("volume.exists", size=1)
    for size, seen in ((1, lambda: Sample.objects.count() == 3), (7, Quarantine.objects.exists)):
        said["payload"]["size"] = size
        (tmp_path / "said.jsonl").write_bytes(body(said))
        installation.manage("replay_notifications", str(tmp_path / "said.jsonl"))
        wait_for(seen, f"what became of size {size}")

    [kept] = Quarantine.objects.all()
    assert (kept.reason, json.loads(bytes(kept.body))["counter_volume"]) == ("differs from what is stored", 7)
    assert Sample.objects.get(series__meter="volume.size").volume == 1


@pytest.mark.usefixtures("db")
def test_rows_are_chosen_and_a_dry_run_sends_nothing() -> None:
    old = keep("message", message(1), "too old", "compute/host-1")
    Quarantine.objects.filter(pk=old.pk).update(last_seen=timezone.now() - timedelta(days=2))
    keep("message", message(2), "forged 100%", "compute/host-2")
    keep("batch", batch(3).encode(), "forged 100%", "compute/host-2")
    notification()
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()

    def would_send(*chosen: str) -> list[int]:
        said = StringIO()
        call_command("replay_quarantine", "--dry-run", *chosen, stdout=said)
        assert "(dry run: nothing was sent)" in said.getvalue()
        return [int(part.split()[0]) for part in said.getvalue().split(", ")[:3]]

    assert would_send() == [1, 2, 1]
    assert would_send("--kind", "message") == [0, 2, 0]
    assert would_send("--reason", "100%") == [1, 1, 0]
    assert would_send("--publisher", "compute/host-2", "--kind", "batch") == [1, 0, 0]
    assert would_send("--end", yesterday) == [0, 1, 0]
    assert would_send("--start", yesterday) == [1, 1, 1]
    assert would_send("--id", str(old.pk), "--id", "999999") == [0, 1, 0]
    assert set(Quarantine.objects.values_list("state", flat=True)) == {KEPT}


def test_with_the_broker_away_everything_stays(database_url: str) -> None:
    keep("message", message(1))

    said = manage("replay_quarantine", status=1, METERING_BROKER_URL=NOWHERE, DATABASE_URL=database_url)

    assert "the broker did not take a batch" in said
    assert "0 messages" in said
    assert "start it again to go on" in said
    assert "Traceback" not in said
    assert Quarantine.objects.get().state == KEPT


def test_two_replays_at_once_of_which_one_is_killed_store_everything_once(installation: Installation) -> None:
    count = 1_500
    [text] = packing.pack(
        [
            Counter("cpu", Kind.GAUGE, "ns", n, "u", "p", f"r-{n}", datetime.now(UTC), {}, "o")
            for n in range(messages.MOST_SAMPLES)
        ],
        signer=KEYRING.signer("compute/host-1"), source="openstack",
    )  # fmt: skip
    bodies = [json.dumps(made).encode() for made in messages.unpack(text)]
    bodies += [message(n) for n in range(messages.MOST_SAMPLES, count)]
    Quarantine.objects.bulk_create(
        Quarantine(kind="message", digest=Kept("message", content, "").digest, body=content) for content in bodies
    )
    environ = os.environ | told(installation)
    command = [sys.executable, "manage.py", "replay_quarantine"]
    two = [subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL) for _ in range(2)]
    wait_for(Quarantine.objects.filter(state=REPLAYED).exists, "the first portion sent")
    two[0].kill()
    two[0].wait()
    assert two[1].wait(60) == 0

    replay(installation)
    wait_for(lambda: Sample.objects.count() == count, "every sample stored")

    assert not Quarantine.objects.exclude(state=REPLAYED).exists()
    assert set(Sample.objects.values_list("volume", flat=True)) == {float(n) for n in range(count)}


@pytest.mark.usefixtures("db")
def test_a_portion_holds_so_many_rows_or_so_many_bytes_and_no_row_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "MOST_ROWS", 3)
    monkeypatch.setattr(replaying, "MOST_BYTES", 100)
    monkeypatch.setattr(replaying, "_PAGE", 2)
    ids = [keep("message", f"{number:0{size}}".encode()).pk for number, size in enumerate((9, 9, 9, 9, 90, 200, 9))]

    portions = replaying.portions(Quarantine.objects.all())
    first = next(portions)
    keep("message", b"one that came meanwhile")

    assert [first, *portions] == [ids[:3], [*ids[3:5]], [ids[5]], [ids[6]]]
