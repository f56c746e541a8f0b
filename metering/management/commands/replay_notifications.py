"""``manage.py replay_notifications``: make the samples of recorded notifications, again. Needs no database."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from collector.batch import Batch
from collector.hearing import Heard, hear_message, malformed
from collector.index import Index, load
from collector.notification import decode, event_type_of
from collector.waiting import Every
from metering.celery import app
from metering.errors import BrokerAway, MalformedNotification
from metering.publish import Publisher, publisher_of

PROGRESS_EVERY = 2.0  # seconds


class Command(BaseCommand):
    """Through the listeners to our own bus: the services' bus is not touched."""

    help = (
        "Make samples of recorded notifications (JSON Lines) and send them to be stored. The same notification gives "
        "the same samples, so what is stored already stays as it is: interrupt it and start it again at will."
    )
    requires_system_checks = ()  # they ask for a database

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "files", nargs="+", metavar="FILE", help="JSON Lines, with or without envelope; - reads standard input"
        )
        parser.add_argument(
            "--exchange", help="where they were said; by default the one whose listeners want the event type"
        )
        parser.add_argument(
            "--skip", type=int, default=0, metavar="N", help="leave out the first N lines of all files together"
        )
        parser.add_argument("--dry-run", action="store_true", help="send nothing, only say what would be sent")

    def handle(self, *, files: list[str], exchange: str | None, skip: int, dry_run: bool, **_: Any) -> None:
        environment = settings.METERING
        replay = Replay(load(environment), None if dry_run else publisher_of(app, environment), exchange)
        progress = Every(PROGRESS_EVERY)
        progress.due()
        try:
            for replay.line, (place, line) in enumerate(_lines(files), 1):
                if replay.line > skip and line.strip():
                    for failure in replay.take(line).failures:
                        self.stderr.write(f"{place}: {failure.reason} ({failure.error})")
                if progress.due():
                    self.stderr.write(str(replay))
            replay.deliver()
        except (KeyboardInterrupt, BrokerAway) as exc:
            said = str(exc) or "interrupted"
            raise CommandError(f"{said}. {replay}; go on with --skip {replay.confirmed}") from exc
        self.stdout.write(f"{replay}{' (dry run: nothing was sent)' if dry_run else ''}")
        if replay.refused:
            raise CommandError(f"{replay.refused} notifications could not be used in full")


class Replay:
    """Recorded notifications on their way; counts what became of them."""

    def __init__(self, index: Index, publisher: Publisher | None, exchange: str | None) -> None:
        self.index, self.publisher, self.exchange = index, publisher, exchange
        self.line = self.confirmed = 0  # lines read, and lines of which every sample is confirmed
        self.notifications = self.samples = self.unwanted = self.refused = 0
        self._batch = Batch()

    def __str__(self) -> str:
        return (
            f"{self.notifications} notifications, {self.samples} samples, "
            f"{self.unwanted} of types that nobody wants, {self.refused} refused"
        )

    def take(self, line: bytes) -> Heard:
        """Make the samples of one line, and send them when enough are together. Raises `BrokerAway`."""
        heard = self._hear(line)
        self.notifications += 1
        self.unwanted += heard.message_id is None and not heard.failures
        self.refused += bool(heard.failures)
        self._batch.add(line, heard, None)
        if self._batch.full:
            self.deliver()
        return heard

    def deliver(self) -> None:
        """Send what waits. Raises `BrokerAway`."""
        if self.publisher is None:
            self.samples += self._batch.samples
        else:
            self.samples += self._batch.publish(self.publisher)
            self._batch.publish_events(self.publisher)
        self._batch = Batch()
        self.confirmed = self.line

    def _hear(self, line: bytes) -> Heard:
        event_type = None
        try:
            message = decode(line)
            event_type = event_type_of(message)
            exchanges = (self.exchange,) if self.exchange else self.index.exchanges(event_type)
            if not exchanges:
                return Heard(event_type)
            if len(exchanges) > 1:
                raise MalformedNotification(f"{', '.join(exchanges)}: say with --exchange which one said it")
        except MalformedNotification as exc:
            return malformed(exc, event_type)
        return hear_message(message, exchanges[0], self.index)


def _lines(files: list[str]) -> Iterator[tuple[str, bytes]]:
    """Every line of every file, with the place where it stands."""
    for file in files:
        with ExitStack() as stack:
            try:
                stream: BinaryIO = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
            except OSError as exc:
                raise CommandError(f"{file} cannot be read: {exc.strerror}") from exc
            for number, line in enumerate(stream, 1):
                yield f"{file}:{number}", line
