"""What a host has read survives a crash, a broker that is away, and a disk that is full of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metering.errors import BrokerAway
from metering.spool import Spool

MEGABYTE = 1 << 20


class Broker:
    """Takes batches until it goes away."""

    def __init__(self, takes: int = 1_000_000) -> None:
        self.got: list[str] = []
        self.takes = takes

    def send(self, batch: str) -> None:
        if len(self.got) == self.takes:
            raise BrokerAway("gone")
        self.got.append(batch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder, MEGABYTE)


def test_a_poll_is_new_then_spooled_then_done(spool: Spool) -> None:
    key, broker = ("default", 7, 0), Broker()

    assert spool.state(key) == "new"
    spool.write(key, ["one", "two"], 3)
    assert spool.state(key) == "spooled"
    assert spool.flush(broker.send) == 1
    assert spool.state(key) == "done"
    assert broker.got == ["one", "two"]


def test_source_slot_and_shard_each_make_another_poll(spool: Spool) -> None:
    spool.write(("default", 7, 0), ["one"], 1)
    spool.flush(Broker().send)

    others = [("other", 7, 0), ("default", 8, 0), ("default", 7, 1), ("default-0", 7, 0), ("../default", 7, 0)]
    assert [spool.state(key) for key in others] == ["new"] * 5


@pytest.mark.parametrize("source", ["größe/../x", "a b%2F", ".", "..", "ü" * 200, "x.poll", "-"])
def test_a_source_may_have_any_name(source: str, spool: Spool, folder: Path) -> None:
    spool.write((source, 7, 0), ["one"], 1)
    broker = Broker()

    assert [file.parent for file in folder.rglob("*.poll")] == [folder]
    assert spool.state((source, 7, 0)) == "spooled"
    assert spool.flush(broker.send) == 1
    assert spool.state((source, 7, 0)) == "done"


def test_polls_are_sent_oldest_first_and_a_broker_that_goes_away_keeps_the_rest(spool: Spool) -> None:
    for slot in (9, 10, 8):
        spool.write(("default", slot, 0), [f"{slot} a", f"{slot} b"], 2)
    broker = Broker(takes=3)

    with pytest.raises(BrokerAway):
        spool.flush(broker.send)

    assert broker.got == ["9 a", "9 b", "10 a"]
    assert [spool.state(("default", slot, 0)) for slot in (9, 10, 8)] == ["done", "spooled", "spooled"]
    broker.takes = 100
    assert spool.flush(broker.send) == 2
    assert broker.got[3:] == ["10 a", "10 b", "8 a", "8 b"]  # the poll that was cut off comes again, whole
    assert spool.flush(broker.send) == 0


def test_a_poll_written_again_is_sent_as_it_was_written_last(spool: Spool) -> None:
    spool.write(("default", 7, 0), ["one"], 1)
    spool.write(("default", 7, 0), ["two"], 1)
    broker = Broker()

    assert spool.flush(broker.send) == 1
    assert broker.got == ["two"]


def test_a_full_spool_gives_up_the_oldest_polls_and_counts_them(spool: Spool, folder: Path) -> None:
    for slot in range(5):
        spool.write(("default", slot, 0), ["x" * 300_000], 10 + slot)
        time.sleep(0.002)

    assert [spool.state(("default", slot, 0)) for slot in range(5)] == ["new", "new", "spooled", "spooled", "spooled"]
    assert spool.dropped == {"polls": 2, "samples": 21}
    assert sum(file.stat().st_size for file in folder.glob("*.poll")) <= MEGABYTE


def test_what_was_dropped_is_counted_for_ever(spool: Spool, folder: Path) -> None:
    assert spool.dropped == {}
    for slot in range(6):
        spool.write(("default", slot, 0), ["x" * 600_000], 1)
    spool.flush(Broker().send)

    assert Spool(folder, MEGABYTE).dropped == {"polls": 5, "samples": 5}


def test_a_poll_larger_than_the_spool_is_kept_alone(spool: Spool) -> None:
    spool.write(("default", 1, 0), ["x" * 1_000], 1)
    spool.write(("default", 2, 0), ["x" * 3 * MEGABYTE], 1)
    broker = Broker()

    assert spool.flush(broker.send) == 1
    assert len(broker.got[0]) == 3 * MEGABYTE


def test_the_done_log_forgets_what_is_long_over_and_nothing_else(folder: Path) -> None:
    spool = Spool(folder, MEGABYTE)
    (folder / "done").write_text("".join(f"{slot}-0-default\n" for slot in range(20_000)))
    spool.write(("default", 20_000, 0), ["one"], 1)

    spool.flush(Broker().send)

    assert spool.state(("default", 20_000, 0)) == "done"
    assert spool.state(("default", 10_000, 0)) == "done"
    assert spool.state(("default", 9_999, 0)) == "new"
    assert len((folder / "done").read_text().splitlines()) == 10_001


def test_a_torn_line_of_the_done_log_costs_no_later_poll(folder: Path) -> None:
    spool = Spool(folder, MEGABYTE)
    (folder / "done").write_text("6-0-default\n7-0-def")
    spool.write(("default", 8, 0), ["one"], 1)

    spool.flush(Broker().send)

    assert [spool.state(("default", slot, 0)) for slot in (6, 7, 8)] == ["done", "new", "done"]


@pytest.mark.parametrize("spoilt", [b"\x00\xff", b"", b"no number\none", b"1 3\non"])
def test_a_poll_that_cannot_be_read_is_set_aside_and_the_others_go_out(
    spool: Spool, folder: Path, caplog: pytest.LogCaptureFixture, spoilt: bytes
) -> None:
    spool.write(("default", 1, 0), ["one"], 1)
    (folder / "1-0-default.poll").write_bytes(spoilt)
    spool.write(("default", 2, 0), ["two"], 1)
    broker = Broker()

    assert spool.flush(broker.send) == 1
    assert broker.got == ["two"]
    assert spool.dropped["polls"] == 1
    assert (folder / "1-0-default.broken").read_bytes() == spoilt
    assert "1-0-default cannot be read" in caplog.text


def test_the_spool_is_closed_to_others(spool: Spool, folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700


# What a worker does with a poll, told line by line, so that the test can kill it in between.
WORKER = """
import sys
from pathlib import Path
from metering.spool import Spool

def send(batch):
    print("send", batch, flush=True)
    sys.stdin.readline()

spool = Spool(Path(sys.argv[1]), 1 << 20)
key = ("default", int(sys.argv[2]), 0)
if sys.argv[3] == "write":
    print("state", spool.state(key), flush=True)
    spool.write(key, ["one", "two"], 2)
    print("written", flush=True)
    sys.stdin.readline()
print("flushed", spool.flush(send), flush=True)
sys.stdin.readline()
"""


class Worker:
    """A process that polls, and that a test kills at a line of its choice."""

    def __init__(self, folder: Path, slot: int, work: str = "write") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(slot), work],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def killed(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def test_a_worker_killed_after_it_wrote_a_poll_loses_and_repeats_no_reading(spool: Spool, folder: Path) -> None:
    worker = Worker(folder, 7)
    assert (worker.says(), worker.says()) == ("state new", "written")
    worker.killed()
    broker = Broker()

    assert spool.state(("default", 7, 0)) == "spooled"
    assert spool.flush(broker.send) == 1
    assert broker.got == ["one", "two"]


def test_a_worker_killed_between_two_batches_leaves_the_whole_poll_to_the_next(spool: Spool, folder: Path) -> None:
    worker = Worker(folder, 7)
    assert (worker.says(), worker.says()) == ("state new", "written")
    worker.go_on()
    assert worker.says() == "send one"
    worker.go_on()
    assert worker.says() == "send two"
    worker.killed()  # the lock goes with it
    broker = Broker()

    assert spool.flush(broker.send) == 1
    assert broker.got == ["one", "two"]
    assert spool.state(("default", 7, 0)) == "done"


def test_a_worker_killed_before_it_removed_a_sent_poll_sends_the_same_bytes_again(spool: Spool, folder: Path) -> None:
    spool.write(("default", 7, 0), ["one"], 1)
    (folder / "done").write_text("7-0-default\n")  # it was remembered, and the process ended
    broker = Broker()

    assert spool.state(("default", 7, 0)) == "spooled"
    assert spool.flush(broker.send) == 1
    assert (broker.got, spool.state(("default", 7, 0))) == (["one"], "done")


def test_a_worker_killed_while_it_wrote_leaves_no_half_a_poll(spool: Spool, folder: Path) -> None:
    (folder / "7-0-default.new").write_text(json.dumps({"samples": 2, "batches": ["one"]})[:-5])

    assert spool.state(("default", 7, 0)) == "new"
    assert spool.flush(Broker().send) == 0


def test_two_processes_never_send_one_poll_at_the_same_time(spool: Spool, folder: Path) -> None:
    spool.write(("default", 7, 0), ["one"], 1)
    first = Worker(folder, 7, "flush")
    assert first.says() == "send one"
    second = Worker(folder, 8, "write")
    assert second.says() == "state new"  # and waits for the lock
    time.sleep(0.2)
    assert spool.state(("default", 8, 0)) == "new"
    first.go_on()
    assert first.says() == "flushed 1"
    assert second.says() == "written"
    second.go_on()
    assert second.says() == "send one"
    second.go_on()
    assert second.says() == "send two"
    second.go_on()
    assert second.says() == "flushed 1"
    for worker in (first, second):
        worker.killed()
    assert [spool.state(("default", slot, 0)) for slot in (7, 8)] == ["done", "done"]
