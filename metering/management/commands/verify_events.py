"""Check the signatures of stored events again, from what is stored."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering import environment
from metering.bounds import parse_timestamp
from metering.signing import Keyring
from metering.store import event_reading

MOST_IDS = 1_000  # printed; the count is of all


class Command(BaseCommand):
    """Exit status 1, and the ids, when an event does not verify."""

    help = "Verify stored events; prints how many verify, and the id and reason of each that does not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--start", help="ISO 8601: events at or after")
        parser.add_argument("--end", help="ISO 8601: events at or before")

    def handle(self, *args: Any, **options: Any) -> None:
        settings = environment.load(os.environ)
        if not settings.secrets:
            raise CommandError("METERING_SECRETS is not set: without it nothing can be verified")
        start, end = (parse_timestamp(options[side]) if options[side] else None for side in ("start", "end"))
        keyring = Keyring(settings.secrets)
        checked = wrong = 0
        for page in event_reading.pages(start, end):
            for event in page:
                fault = event_reading.fault(event, keyring)
                if fault is not None:
                    wrong += 1
                    if wrong <= MOST_IDS:
                        self.stdout.write(f"{event.shown_id} {event.event_type}: {fault}")
            checked += len(page)
            if self.stderr.isatty():
                self.stderr.write(f"\r{checked} events", ending="")
        self.stdout.write(f"{checked - wrong} of {checked} events verify")
        if wrong:
            sys.exit(1)
