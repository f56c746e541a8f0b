"""Load days that this installation has dropped back from their archives."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering import environment
from metering.errors import ArchiveFailed
from metering.signing import Keyring
from metering.store import leases, restoring
from metering.store.restoring import Restored
from metering.tasks.control import DAYS_LEASE


class Command(BaseCommand):
    """Straight into the store, and no day of it is read before all are there. May be interrupted and started again."""

    help = (
        "Verify the samples of archives and store them again, also those of days that have expired and were dropped; "
        "these are read again once every dropped day from the first one on is there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="archives")

    def handle(self, *, files: list[Path], **_: Any) -> None:
        settings = environment.load(os.environ)
        if not settings.secrets:
            raise CommandError("METERING_SECRETS is not set: without it nothing can be verified")
        with leases.held("days", DAYS_LEASE) as lease:
            if lease is None:
                raise CommandError("another process is closing or dropping days now")
            restored = Restored()
            try:
                for restored in restoring.load(files, Keyring(settings.secrets), settings.ceilometer_secrets):
                    lease.renew()
                    if self.stderr.isatty():
                        self.stderr.write(f"\r{restored.samples:,} samples", ending="")
            except (KeyboardInterrupt, ArchiveFailed) as exc:
                said = str(exc) or "interrupted"
                raise CommandError(f"{said}. {restored.samples:,} samples were read; start it again") from exc
            self._reopen(restored, settings)

    def _reopen(self, restored: Restored, settings: environment.Environment) -> None:
        self.stdout.write(f"{restored.stored:,} stored, {restored.known:,} known, {restored.refused:,} in quarantine")
        missing = restoring.reopen(restored.days)
        if missing:
            named = ", ".join(map(str, missing))
            raise CommandError(f"not read yet, for these dropped days must be loaded back too: {named}")
        first = datetime.now(UTC).date() - timedelta(days=settings.retention_days)
        if settings.retention_days and restored.days and min(restored.days) < first:
            told = f"METERING_RETENTION_DAYS is {settings.retention_days}"
            self.stdout.write(f"{told}: the control worker drops them again, unless that is raised")
