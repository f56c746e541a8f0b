"""``manage.py record_notifications``: keep what the services say, for meters to come. Needs no database."""

from __future__ import annotations

import logging
import signal
from argparse import ArgumentParser
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from collector.index import load
from collector.recorded_files import RecordedFiles
from collector.recording import Recorder
from metering.environment import Environment
from metering.errors import BadSetting

log = logging.getLogger("collector")


class Command(BaseCommand):
    """Runs until TERM or Ctrl-C, then has on disk and acknowledges what it holds, and ends."""

    help = (
        "Record every notification of the services' exchanges, from queues of its own (nephometer-archive.<exchange>), "
        "as compressed JSON Lines that replay_notifications reads. Each is acknowledged when it is on disk."
    )
    requires_system_checks = ()  # they ask for a database

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="where the files are written; it must be there")
        parser.add_argument(
            "--exchange",
            action="append",
            default=[],
            metavar="NAME",
            help="one more, beside those that a listener here names; may be repeated",
        )
        parser.add_argument(
            "--rotate-bytes", type=int, default=64 << 20, metavar="N", help="begin a new file after N bytes (64 MiB)"
        )
        parser.add_argument(
            "--rotate-seconds", type=int, default=3_600, metavar="N", help="begin a new file after N seconds (an hour)"
        )

    def handle(self, *, folder: Path, exchange: list[str], rotate_bytes: int, rotate_seconds: int, **_: Any) -> None:
        environment: Environment = settings.METERING
        if not environment.notification_urls:
            raise BadSetting("METERING_NOTIFICATION_URLS is not set: the brokers to record, separated by commas")
        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder")
        topics = load(environment).topics
        for name in exchange:
            topics.setdefault(name, ())
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        recorders = []
        for place, url in enumerate(environment.notification_urls):
            files = RecordedFiles(folder, f"{environment.node}-{place}", rotate_bytes, rotate_seconds)
            recorders.append(Recorder(url, topics, files, stop))
        record(recorders, stop)
        self.stdout.write(f"{sum(recorder.recorded for recorder in recorders)} notifications recorded in {folder}")


def record(recorders: list[Recorder], stop: Event) -> None:
    """Record all brokers until ``stop`` is set, one thread each; a recorder that is broken ends them all."""
    with ThreadPoolExecutor(len(recorders), "recorder") as pool:
        running = [pool.submit(recorder.run) for recorder in recorders]
        wait(running, return_when=FIRST_EXCEPTION)
        stop.set()
    for recorder in recorders:
        recorder.files.close()
    for one in running:
        one.result()
