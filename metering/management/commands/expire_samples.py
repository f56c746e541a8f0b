"""Let go of the samples that have expired, by hand: what the control worker does by itself each hour."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering import environment
from metering.errors import RollupsBehind
from metering.management import progress
from metering.signing import Keyring
from metering.store import leases, retention
from metering.store.retention import Expiry
from metering.tasks.control import DAYS_LEASE


class Command(BaseCommand):
    """Goes by METERING_RETENTION_DAYS, METERING_ROLLUP_RETENTION_DAYS and METERING_ARCHIVE_DIR."""

    help = "Drop the days of samples that are older than METERING_RETENTION_DAYS, each archived first if so set."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="drop nothing, only say what and how much")

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        settings, now = environment.load(os.environ), datetime.now(UTC)
        expiry = retention.expired(now, settings.retention_days)
        rollups = retention.expired_rollups(now, settings.rollup_retention_days)
        self.stdout.write(f"{_kept(settings.retention_days)}. {_told(expiry)}")
        if settings.archive_dir is not None and expiry.days:
            self.stdout.write(f"each day is archived in {settings.archive_dir} first")
        for day in expiry.days:
            self.stdout.write(f"{day.day}: about {day.rows.get('sample', 0):,} samples, {day.bytes:,} bytes")
        for table in rollups:
            self.stdout.write(f"roll-ups: {table}")
        if dry_run:
            self.stdout.write("dry run: nothing was dropped")
            return
        if not settings.secrets:
            raise CommandError("METERING_SECRETS is not set: the digests that tell of a dropped day are signed")
        with leases.held("days", DAYS_LEASE) as lease:
            if lease is None:
                raise CommandError("another process is closing or dropping days now")
            self._expire(expiry, rollups, settings)

    def _expire(self, expiry: Expiry, rollups: list[str], settings: environment.Environment) -> None:
        def watch(done: int) -> None:
            progress.show(self.stderr, done, len(expiry.days), "days")

        try:
            outcome = retention.expire(expiry, settings.archive_dir, Keyring(settings.secrets), watch)
        except RollupsBehind as exc:
            raise CommandError(str(exc)) from exc
        retention.drop_rollups(rollups)
        self.stdout.write(f"{len(outcome.dropped)} days dropped")
        if outcome.kept:
            for day, reason in outcome.kept.items():
                self.stderr.write(f"{day} is kept: {reason}")
            raise CommandError(f"{len(outcome.kept)} days could not be archived and are kept")


def _kept(days: int) -> str:
    return f"samples are kept for {days} days (METERING_RETENTION_DAYS)" if days else "samples are kept for ever"


def _told(expiry: Expiry) -> str:
    if not expiry.days:
        return "no day has expired"
    return (
        f"{len(expiry.days)} days have expired: about {expiry.rows:,} samples, {expiry.bytes:,} bytes, "
        f"the oldest of {expiry.oldest}"
    )
