"""Recorded notifications on their way through the listeners again, and how far they came."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from collector import archive
from collector.again import hear_again
from collector.batch import Batch
from collector.hearing import Heard, malformed
from collector.index import Index
from collector.waiting import Every
from metering.errors import BadSetting, CutShort, MalformedNotification
from metering.publish import Publisher
from metering.spool import write_durably

PUT_EVERY = 1.0  # seconds between two places of a bookmark, each of which is synced


class Replay:
    """Recorded notifications on their way; counts what became of them."""

    def __init__(self, index: Index, publisher: Publisher | None, exchange: str | None) -> None:
        self.index, self.publisher, self.exchange = index, publisher, exchange
        self.line = self.confirmed = 0  # lines read, and lines of which every sample is confirmed
        self.notifications = self.samples = self.unwanted = self.refused = self.spoilt = 0
        self._batch = Batch()

    def __str__(self) -> str:
        return (
            f"{self.notifications} notifications, {self.samples} samples, "
            f"{self.unwanted} of types that nobody wants, {self.refused} refused"
        )

    def take(self, line: bytes) -> Heard:
        """Make the samples of one line, and send them when enough are together. Raises `BrokerAway`."""
        heard = self._hear(line)
        self.count(heard)
        self._batch.add(line, heard, None)
        if self._batch.full:
            self.deliver()
        return heard

    def count(self, heard: Heard) -> None:
        self.notifications += 1
        self.samples += len(heard.counters) + len(heard.whole)
        self.unwanted += heard.message_id is None and not heard.failures
        self.refused += bool(heard.failures)

    def deliver(self) -> None:
        """Send what waits. Raises `BrokerAway`."""
        if self.publisher is not None:
            self._batch.publish(self.publisher)
            self._batch.publish_events(self.publisher)
        self._batch = Batch()
        self.confirmed = self.line

    def _hear(self, line: bytes) -> Heard:
        try:
            recorded = archive.recorded_in(line)
        except MalformedNotification as exc:
            return malformed(exc)
        return hear_again(recorded.body, recorded.exchange or self.exchange, self.index)


class Bookmark:
    """A file that says how many lines of which files are confirmed."""

    def __init__(self, file: Path, files: list[str]) -> None:
        self.file, self.files = file, files
        self.confirmed = 0
        self._due = Every(PUT_EVERY)
        try:
            said = json.loads(file.read_text())
            self.confirmed = int(said["confirmed"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise BadSetting(f"the bookmark {file} cannot be read: {exc}") from exc
        if said.get("files") != files:
            raise BadSetting(f"the bookmark {file} is of other files: {', '.join(map(str, said.get('files') or ()))}")

    def put(self, confirmed: int, *, at_once: bool = False) -> None:
        if at_once or self._due.due():
            self.confirmed = confirmed
            write_durably(self.file, json.dumps({"files": self.files, "confirmed": confirmed}))


def lines_of(files: list[str], spoilt: Callable[[str], None]) -> Iterator[tuple[str, bytes]]:
    """Every line of every file, with the place where it stands. A file that cannot be read whole costs no other."""
    for file in files:
        number = 0
        try:
            with ExitStack() as stack:
                stream: BinaryIO = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
                for number, line in enumerate(archive.lines(stream), 1):
                    yield f"{file}:{number}", line
        except OSError as exc:
            spoilt(f"{file} cannot be read: {exc.strerror or exc}")
        except (CutShort, MalformedNotification) as exc:
            spoilt(f"{file}, after line {number}: {exc}")
