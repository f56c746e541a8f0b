"""Digest the samples of days that are over, so that nobody can change them unnoticed."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering import environment
from metering.signing import Keyring
from metering.store import digests
from metering.store.digest_check import head_text


class Command(BaseCommand):
    """The control worker does this each hour, but leaves days of more than a hundred million samples to us."""

    help = "Make a digest of every day that is over, and of what came late since its last one. Safe to interrupt."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say which days are due")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            for day in digests.due_now():
                self.stdout.write(f"{day} is due")
            return
        secrets = environment.load(os.environ).secrets
        if not secrets:
            raise CommandError("METERING_SECRETS is not set: without it no digest can be signed")
        for made in digests.seal(Keyring(secrets)):
            self.stdout.write(f"{made}: {made.samples} samples")
        self.stdout.write(f"the head is {head_text()}")
