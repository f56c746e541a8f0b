"""Recorded notifications are replayed from files and queues; whatever interrupts it, each sample is the same again."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from kombu import Connection

from collector.archive import Recorded, line_of
from tests.collector.bodies import body, enveloped, recorded
from tests.collector.line import OurBus, Services, bytes_of, channel_of, eventually, volumes
from tests.collector.test_commands import ROOT, environ, manage

QUEUE = "notifications.info"
NOON = "2026-11-23T12:00:00.000000+00:00"
NOWHERE = "redis://127.0.0.1:9/0"


@pytest.fixture
def ours(amqp_url: str) -> OurBus:
    ours = OurBus(amqp_url)
    ours.listen()
    return ours


def lines(count: int, start: int = 0) -> bytes:
    return b"".join(line_of(Recorded(enveloped(said), "cinder"), NOON) for said in volumes(count, start))


def ids(ours: OurBus) -> list[str]:
    return [sample["message_id"] for sample in ours.samples()]


PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


def test_files_of_every_kind_are_read_one_after_the_other(ours: OurBus, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(lines(10))
    for number, (name, compress) in enumerate(PACKED.items(), 1):
        (tmp_path / name).write_bytes(compress(lines(10, 10 * number)))

    replay = manage(ours.url, "replay_notifications", *(str(tmp_path / name) for name in ("plain", *PACKED)))

    assert replay.returncode == 0, replay.stderr
    assert replay.stdout.startswith("30 notifications, 90 samples")
    assert len(set(ids(ours))) == 90


def test_standard_input_is_read_packed_as_well(ours: OurBus, tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(PACKED["zstd"](lines(5)))
    command = [sys.executable, "manage.py", "replay_notifications", "-"]
    with (tmp_path / "packed").open("rb") as stdin:
        done = subprocess.run(command, cwd=ROOT, env=environ(ours.url), stdin=stdin, check=False, timeout=60)

    assert done.returncode == 0
    assert len(ids(ours)) == 15


def test_what_cannot_be_read_costs_no_other_file_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(PACKED["gzip"](lines(2)) + PACKED["gzip"](lines(2, 2))[:30])
    (tmp_path / "good").write_bytes(lines(2, 4) + b'{"recorded_at": 1}\n')

    files = [str(tmp_path / name) for name in ("gone", "cut", "good")]
    replay = manage(NOWHERE, "replay_notifications", "--dry-run", *files)

    assert replay.returncode == 1
    assert f"{files[0]} cannot be read: No such file or directory" in replay.stderr
    assert f"{files[1]}, after line 2: it ends within a frame" in replay.stderr
    assert f"{files[2]}:3: malformed: it is no record" in replay.stderr
    assert replay.stdout.startswith("5 notifications, 12 samples, 0 of types that nobody wants, 1 refused")
    assert "1 notifications could not be used in full; 2 files could not be read whole" in replay.stderr


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda end: end.name)
def test_a_replay_that_is_ended_goes_on_at_its_bookmark(ours: OurBus, tmp_path: Path, end: signal.Signals) -> None:
    count = 12_000  # seconds of work: it is to be ended in the midst of it
    file, bookmark = tmp_path / "recorded.zst", tmp_path / "bookmark"
    file.write_bytes(PACKED["zstd"](lines(count)))
    command = [sys.executable, "manage.py", "replay_notifications", str(file), "--bookmark", str(bookmark)]
    # Whoever runs the tests in the background of a script has them, and what they start, ignore SIGINT.
    heeding = ["env", "--default-signal=INT", *command]
    first = subprocess.Popen(heeding, cwd=ROOT, env=environ(ours.url), stderr=subprocess.PIPE, text=True)
    assert eventually(bookmark.exists, 60)
    first.send_signal(end)
    _, told = first.communicate(timeout=60)
    before = json.loads(bookmark.read_text())["confirmed"]

    second = manage(ours.url, *command[2:])
    third = manage(ours.url, *command[2:])

    assert end == signal.SIGKILL or f"go on with --bookmark {bookmark}" in told
    assert 0 < before < count
    assert second.stdout.startswith(f"{count - before} notifications, ")
    assert third.stdout.startswith("0 notifications, ")
    assert len(set(ids(ours))) == 3 * count


def test_a_bookmark_of_other_files_or_of_nothing_is_refused(ours: OurBus, tmp_path: Path) -> None:
    bookmark, file = tmp_path / "bookmark", tmp_path / "one.jsonl"
    file.write_bytes(lines(1))
    for text, complaint in (
        ('{"files": ["other.jsonl"], "confirmed": 3}', "is of other files: other.jsonl"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
    ):
        bookmark.write_text(text)

        replay = manage(ours.url, "replay_notifications", str(file), "--bookmark", str(bookmark))

        assert replay.returncode == 1
        assert complaint in replay.stderr
        assert "Traceback" not in replay.stderr


@pytest.mark.parametrize("arguments", [(), ("file", "--queue", "q")])
def test_a_replay_is_of_files_or_of_a_queue(arguments: tuple[str, ...]) -> None:
    assert "say either" in manage(NOWHERE, "replay_notifications", *arguments).stderr


def left(url: str, *bodies: bytes, exchange: str = "cinder") -> None:
    """A queue that nobody reads, as services leave it."""
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        channel = channel_of(connection)
        channel.exchange_declare(exchange, "topic", durable=False, auto_delete=False)
        channel.queue_declare(QUEUE, durable=False, auto_delete=False)
        channel.queue_bind(QUEUE, exchange, routing_key=QUEUE)
    for content in bodies:
        Services(url).say_raw(exchange, content)


def waiting(url: str) -> int:
    with Connection(url) as connection:
        return int(channel_of(connection).queue_declare(QUEUE, durable=False, auto_delete=False).message_count)


def test_a_queue_is_emptied_into_samples_and_dead_letters(ours: OurBus) -> None:
    broken = body(recorded("volume.exists", size="big"))
    left(ours.url, *map(enveloped, volumes(120)), b"no JSON", broken, body({"event_type": "un.wanted", "payload": 1}))

    replay = manage(ours.url, "replay_notifications", "--queue", QUEUE)

    assert replay.returncode == 1
    assert replay.stdout.startswith("123 notifications, 362 samples, 1 of types that nobody wants, 2 refused")
    assert len(set(ids(ours))) == 362
    assert eventually(lambda: waiting(ours.url) == 0) is True
    letters = ours.dead()
    assert [letter.headers["exchange"] for letter in letters] == ["cinder", "cinder"]
    assert bytes_of(letters[0]) == b"no JSON"


def test_a_queue_stays_full_in_a_dry_run_and_while_our_broker_is_away(ours: OurBus, redis_url: str) -> None:
    left(redis_url, *map(enveloped, volumes(3)))
    left(ours.url, *map(enveloped, volumes(3)))

    dry = manage(ours.url, "replay_notifications", "--queue", QUEUE, "--dry-run")
    away = manage(NOWHERE, "replay_notifications", "--queue", QUEUE, "--url", ours.url)

    assert dry.stdout.startswith("3 notifications, 9 samples")
    assert away.returncode == 1
    assert f"what is not confirmed is still in {QUEUE}" in away.stderr
    assert "Traceback" not in away.stderr
    assert eventually(lambda: waiting(ours.url) == 3)


def test_a_drain_that_is_killed_leaves_what_it_had_not_sent(ours: OurBus) -> None:
    count = 3_000
    with Connection(ours.url) as connection:
        left(ours.url)
        producer = connection.Producer(auto_declare=False)
        for said in volumes(count):
            producer.publish(enveloped(said), exchange="cinder", routing_key=QUEUE, content_encoding="binary",
                             content_type="application/json")  # fmt: skip
    command = [sys.executable, "manage.py", "replay_notifications", "--queue", QUEUE]
    first = subprocess.Popen(command, cwd=ROOT, env=environ(ours.url), stdout=subprocess.DEVNULL)
    got: set[Any] = set()

    def some_came() -> bool:
        got.update(ids(ours))
        return bool(got)

    assert eventually(some_came, 60)
    first.kill()
    first.wait()
    assert eventually(lambda: waiting(ours.url) > 0)

    second = manage(ours.url, *command[2:])

    assert second.returncode == 0, second.stderr
    assert len(got | set(ids(ours))) == 3 * count


def test_a_queue_that_is_not_there_is_said_so(ours: OurBus) -> None:
    replay = manage(ours.url, "replay_notifications", "--queue", "nowhere")

    assert replay.returncode == 1
    assert "has no queue nowhere" in replay.stderr
