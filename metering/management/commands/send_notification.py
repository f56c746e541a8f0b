"""``manage.py send_notification``: say something on the bus as a service would. Needs no database."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from collector.bus import connection_to
from collector.index import Index, load
from collector.notification import decode, event_type_of
from collector.sending import completed, send
from metering.environment import Environment
from metering.errors import BadSetting, MalformedNotification


class Command(BaseCommand):
    """Sends each notification of a file, and says which."""

    help = (
        "Put notifications on the services' bus the way a service does. What a notifier adds (message_id, timestamp) "
        "is added where it is missing."
    )
    requires_system_checks = ()  # they ask for a database

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", help="one JSON document or JSON Lines, with or without envelope; - reads standard input"
        )
        parser.add_argument(
            "--exchange", help="the service's exchange; by default the one whose listeners want the event type"
        )
        parser.add_argument("--url", help="the broker; by default the first of METERING_NOTIFICATION_URLS")
        parser.add_argument("--now", action="store_true", help="with a new message_id and the time of sending")

    def handle(self, *, file: str, exchange: str | None, url: str | None, now: bool, **_: Any) -> None:
        environment: Environment = settings.METERING
        broker = url or next(iter(environment.notification_urls), None)
        if broker is None:
            raise BadSetting("METERING_NOTIFICATION_URLS is not set, and no --url was given")
        index = load(environment)
        # All of the file is read before anything is sent: half of it sent could not be taken back.
        messages = [completed(message, now=now) for message in _messages(file)]
        places = [exchange or _exchange(index, event_type_of(message)) for message in messages]
        with connection_to(broker) as connection:
            for place, message in zip(places, messages, strict=True):
                send(connection, place, message)
                self.stdout.write(f"sent {message['event_type']} {message['message_id']} to exchange {place}")


def _messages(file: str) -> Iterator[dict[str, Any]]:
    """Every message of a file: one document, or one in each line."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as exc:
        raise CommandError(f"{file} cannot be read: {exc.strerror}") from exc
    try:
        yield decode(content)
    except MalformedNotification as exc:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].strip().endswith(b"}"):
            raise CommandError(f"{file}: {exc}") from exc
        for number, line in enumerate(lines, 1):
            yield _decode_line(file, number, line)


def _decode_line(file: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        return decode(line)
    except MalformedNotification as exc:
        raise CommandError(f"{file}, notification {number}: {exc}") from exc


def _exchange(index: Index, event_type: str) -> str:
    exchanges = index.exchanges(event_type)
    if len(exchanges) != 1:
        said = f"listeners on {', '.join(exchanges)} want" if exchanges else "no listener wants"
        raise CommandError(f"{said} {event_type}: say the exchange with --exchange")
    return exchanges[0]
