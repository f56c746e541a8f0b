"""``manage.py replay_notifications``: make the samples of recorded notifications, again. Needs no database."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from amqp.exceptions import AMQPError, NotFound
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from collector.bus import connection_to
from collector.draining import Drain
from collector.index import load
from collector.replaying import Bookmark, Replay, lines_of
from collector.waiting import Every
from metering.celery import app
from metering.environment import Environment
from metering.errors import BadSetting, BrokerAway
from metering.publish import publisher_of

PROGRESS_EVERY = 2.0  # seconds


class Command(BaseCommand):
    """Through the listeners to our own bus: the services' bus is not touched, but for a queue that shall be emptied."""

    help = (
        "Make samples of recorded notifications and send them to be stored. The same notification gives the same "
        "samples, so what is stored already stays as it is, and one that differs from it goes to quarantine: interrupt "
        "it and start it again at will."
    )
    requires_system_checks = ()  # they ask for a database

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "files",
            nargs="*",
            metavar="FILE",
            help="JSON Lines as record_notifications writes them, or bodies with or without envelope; plain, gzip or "
            "zstd; - reads standard input",
        )
        parser.add_argument(
            "--queue", metavar="NAME", help="empty this queue instead; what no listener wants is acknowledged too"
        )
        parser.add_argument("--url", help="its broker; by default the first of METERING_NOTIFICATION_URLS")
        parser.add_argument(
            "--exchange", help="where they were said, if that is not recorded; else the one whose listeners want them"
        )
        parser.add_argument(
            "--bookmark", type=Path, metavar="FILE", help="keep there how far it came, and go on from what it says"
        )
        parser.add_argument(
            "--skip", type=int, default=0, metavar="N", help="leave out the first N lines of all files together"
        )
        parser.add_argument("--dry-run", action="store_true", help="send nothing, only say what would be sent")

    def handle(self, *, files: list[str], queue: str | None, dry_run: bool, **options: Any) -> None:
        if bool(files) == bool(queue):
            raise CommandError("say either which files or which --queue to replay")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        environment: Environment = settings.METERING
        publisher = None if dry_run else publisher_of(app, environment)
        replay = Replay(load(environment), publisher, options["exchange"])
        if queue:
            self._empty(queue, options["url"] or next(iter(environment.notification_urls), None), replay)
        else:
            self._read(files, replay, options["skip"], options["bookmark"])
        self.stdout.write(f"{replay}{' (dry run: nothing was sent)' if dry_run else ''}")
        if replay.refused or replay.spoilt:
            files_too = f"; {replay.spoilt} files could not be read whole" if replay.spoilt else ""
            raise CommandError(f"{replay.refused} notifications could not be used in full{files_too}")

    def _read(self, files: list[str], replay: Replay, skip: int, bookmark: Path | None) -> None:
        place = Bookmark(bookmark, files) if bookmark and replay.publisher else None
        skip = max(skip, place.confirmed if place else 0)
        progress = Every(PROGRESS_EVERY)
        progress.due()

        def spoilt(reason: str) -> None:
            replay.spoilt += 1
            self.stderr.write(reason)

        try:
            for replay.line, (where, line) in enumerate(lines_of(files, spoilt), 1):
                if replay.line > skip and line.strip():
                    for failure in replay.take(line).failures:
                        self.stderr.write(f"{where}: {failure.reason} ({failure.error})")
                if place and replay.confirmed > place.confirmed:
                    place.put(replay.confirmed)
                if progress.due():
                    self.stderr.write(str(replay))
            replay.deliver()
        except (KeyboardInterrupt, BrokerAway) as exc:
            confirmed = max(replay.confirmed, skip)
            go_on = f"--bookmark {bookmark}" if place else f"--skip {confirmed}"
            raise CommandError(f"{str(exc) or 'interrupted'}. {replay}; go on with {go_on}") from exc
        finally:
            if place:
                place.put(max(replay.confirmed, skip), at_once=True)

    def _empty(self, queue: str, url: str | None, replay: Replay) -> None:
        if url is None:
            raise BadSetting("METERING_NOTIFICATION_URLS is not set, and no --url was given")
        progress = Every(PROGRESS_EVERY)
        progress.due()
        with connection_to(url) as connection:
            try:
                for heard in Drain(connection, queue, replay.exchange, replay.index, replay.publisher).heard():
                    replay.count(heard)
                    for failure in heard.failures:
                        self.stderr.write(f"{heard.event_type or 'a notification'}: {failure.reason} ({failure.error})")
                    if progress.due():
                        self.stderr.write(str(replay))
            except NotFound as exc:
                raise CommandError(f"{connection.as_uri()} has no queue {queue}") from exc
            except (KeyboardInterrupt, BrokerAway, AMQPError, OSError) as exc:
                said = str(exc) or "interrupted"
                raise CommandError(f"{said}. {replay}; what is not confirmed is still in {queue}") from exc
