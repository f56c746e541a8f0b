"""The recorder keeps everything that services say, robs nobody, and loses nothing when it is killed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from collector import archive
from collector.archive import Recorded, recorded_in
from collector.notification import decode
from collector.recorded_files import RecordedFiles
from collector.recording import Recorder, queue_of
from metering.errors import CutShort
from tests.collector.conftest import EXCHANGES, Start
from tests.collector.line import OurBus, Services, channel_of, eventually, reads, volumes
from tests.collector.test_commands import ROOT, environ, manage

TOPICS = {"cinder": ("notifications.info",), "nova": ("compute.metered",)}


@pytest.fixture
def bus(broker_url: str) -> Iterator[str]:
    yield broker_url
    forget(broker_url)


@pytest.fixture
def rabbit(amqp_url: str) -> Iterator[str]:
    yield amqp_url
    forget(amqp_url)


def forget(url: str) -> None:
    with Connection(url) as connection:
        for exchange in EXCHANGES:
            channel_of(connection).queue_delete(queue_of(exchange))


@contextlib.contextmanager
def recording(url: str, files: RecordedFiles) -> Iterator[Recorder]:
    stop = threading.Event()
    recorder = Recorder(url, TOPICS, files, stop, attach_every=0.5)
    thread = threading.Thread(target=recorder.run)
    thread.start()
    try:
        assert eventually(lambda: recorder.reading >= set(TOPICS), 20)
        yield recorder
    finally:
        stop.set()
        thread.join(30)
        files.close()
    assert not thread.is_alive()


def recorded_files(folder: Path) -> RecordedFiles:
    return RecordedFiles(folder, "host-1", 1 << 20, 3_600)


def found(folder: Path) -> list[Recorded]:
    records: list[Recorded] = []
    for file in sorted(folder.glob("*.zst")):
        # What was cut off when a recorder was killed was not acknowledged.
        with file.open("rb") as stream, contextlib.suppress(CutShort):
            records += [recorded_in(line) for line in archive.lines(stream)]
    return records


def message_ids(folder: Path) -> list[str]:
    return [decode(record.body)["message_id"] for record in found(folder)]


def publish(url: str, exchange: str, key: str, body: bytes) -> None:
    with Connection(url) as connection:
        channel_of(connection).exchange_declare(exchange, "topic", durable=False, auto_delete=False)
        connection.Producer(auto_declare=False).publish(
            body, exchange=exchange, routing_key=key, content_type="application/json", content_encoding="binary"
        )


def test_the_recorder_and_the_consumer_both_hear_everything(bus: str, start: Start, tmp_path: Path) -> None:
    ours = OurBus(bus)
    ours.listen()
    running = start(bus, bus)
    assert reads(running, "cinder")
    with recording(bus, recorded_files(tmp_path)) as recorder:
        Services(bus).say("cinder", *volumes(30))
        assert eventually(lambda: recorder.recorded == 30)
        assert eventually(lambda: running.acknowledged == 30)

    assert message_ids(tmp_path) == [f"m-{number}" for number in range(30)]
    assert {(record.exchange, record.routing_key) for record in found(tmp_path)} == {("cinder", "notifications.info")}


def test_every_kind_of_notification_is_recorded_and_no_call_between_processes(bus: str, tmp_path: Path) -> None:
    with recording(bus, recorded_files(tmp_path)) as recorder:
        publish(bus, "nova", "compute", b"a call to a compute process")
        keys = ("notifications.error", "versioned_notifications.info", "compute.metered")
        for key in keys:
            publish(bus, "nova", key, b"no JSON \xff")
        assert eventually(lambda: recorder.recorded == 3)

    assert [record.routing_key for record in found(tmp_path)] == list(keys)
    assert {record.body for record in found(tmp_path)} == {b"no JSON \xff"}


class FullDisk(RecordedFiles):
    """A disk that takes nothing the first times."""

    refused = 0

    def write(self, lines: Sequence[bytes]) -> None:
        if self.refused < 2:
            self.refused += 1
            raise OSError(28, "No space left on device")
        super().write(lines)


def test_nothing_is_acknowledged_before_it_is_on_disk(rabbit: str, tmp_path: Path) -> None:
    files = FullDisk(tmp_path, "host-1", 1 << 20, 3_600)
    with recording(rabbit, files) as recorder:
        Services(rabbit).say("cinder", *volumes(5))
        assert eventually(lambda: files.refused == 1)
        assert (recorder.recorded, found(tmp_path)) == (0, [])
        assert eventually(lambda: recorder.recorded == 5)

    assert message_ids(tmp_path) == [f"m-{number}" for number in range(5)]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``manage.py record_notifications``; what still runs after the test is killed."""
    with ExitStack() as stack:

        def command(url: str, *arguments: str) -> subprocess.Popen[str]:
            log = stack.enter_context((tmp_path / "recorder.log").open("a"))
            words = [sys.executable, "manage.py", "record_notifications", str(tmp_path), *arguments]
            process = subprocess.Popen(words, cwd=ROOT, env=environ(url), stdout=log, stderr=log, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield command


def attached(url: str) -> bool:
    """Whether the exchange that it records last has its queue."""
    with Connection(url) as connection, contextlib.suppress(Exception):
        channel_of(connection).queue_declare(queue_of("swift"), passive=True)
        return True
    return False


def test_recorders_that_are_killed_lose_nothing_and_their_files_give_every_sample(
    rabbit: str, started: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    ours = OurBus(rabbit)
    ours.listen()
    process = started(rabbit, "--exchange", "swift", "--rotate-bytes", "20000")
    assert eventually(lambda: attached(rabbit), 60)
    for start_at in (0, 400):
        Services(rabbit).say("cinder", *volumes(400, start_at))
        assert eventually(lambda: found(tmp_path), 30)
        process.kill()
        process.wait()
        process = started(rabbit, "--exchange", "swift", "--rotate-bytes", "20000")
    assert eventually(lambda: len(set(message_ids(tmp_path))) == 800, 60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0

    files = [str(file) for file in sorted(tmp_path.glob("*.zst"))]
    assert len(files) > 1
    manage(rabbit, "replay_notifications", *files)

    ids: set[Any] = {sample["message_id"] for sample in ours.samples()}
    assert len(ids) == 3 * 800


def test_a_recorder_says_what_it_misses(tmp_path: Path) -> None:
    nowhere = "redis://127.0.0.1:9/0"

    assert "is no folder" in manage(nowhere, "record_notifications", str(tmp_path / "gone")).stderr
    untold = manage(nowhere, "record_notifications", str(tmp_path), METERING_NOTIFICATION_URLS="", METERING_ROLE="")
    assert "METERING_NOTIFICATION_URLS" in untold.stderr
