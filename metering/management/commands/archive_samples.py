"""Archive days of samples as files, and check such files."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering import environment
from metering.errors import ArchiveFailed
from metering.management import progress
from metering.signing import Keyring
from metering.store import archive, partitions


class Command(BaseCommand):
    """A file is there whole or not at all: interrupt it and start it again at will."""

    help = (
        "Write each day's samples to samples-DAY.jsonl.gz, the metering messages as they were signed; or, with "
        "--check, read such files and verify every signature in them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("days", nargs="*", type=date.fromisoformat, metavar="DAY", help="by default all that ended")
        parser.add_argument("--directory", type=Path, help="default: METERING_ARCHIVE_DIR")
        parser.add_argument("--check", nargs="+", type=Path, metavar="FILE", help="archive nothing, check these")
        parser.add_argument("--dry-run", action="store_true", help="write nothing, only say which days")

    def handle(self, *, days: list[date], check: list[Path] | None, **options: Any) -> None:
        settings = environment.load(os.environ)
        if check:
            self._check(check, settings)
            return
        folder: Path | None = options["directory"] or settings.archive_dir
        if folder is None:
            raise CommandError("where to? Give --directory, or set METERING_ARCHIVE_DIR")
        now = datetime.now(UTC)
        there = [day.day for day in partitions.days() if "sample" in day.tables]
        for day in days:
            if day not in there:
                raise CommandError(f"no samples of {day} are stored")
        wanted = days or [day for day in there if partitions.bounds(day)[1] <= now]
        for number, day in enumerate(wanted):
            if options["dry_run"]:
                self.stdout.write(f"{day} would be archived in {folder}")
                continue
            try:
                kept = archive.keep(day, folder)
            except ArchiveFailed as exc:
                raise CommandError(str(exc)) from exc
            self.stdout.write(f"{kept.path}: {kept.rows:,} samples, {kept.path.stat().st_size:,} bytes")
            progress.show(self.stderr, number + 1, len(wanted), "days")

    def _check(self, paths: list[Path], settings: environment.Environment) -> None:
        if not settings.secrets:
            raise CommandError("METERING_SECRETS is not set: without it nothing can be verified")
        failed = [path for path in paths if not self._verifies(path, settings)]
        if failed:
            raise CommandError(f"{len(failed)} of {len(paths)} files do not verify")

    def _verifies(self, path: Path, settings: environment.Environment) -> bool:
        found: Counter[str | None] = Counter()
        damage = ""
        try:
            found.update(archive.faults(path, Keyring(settings.secrets), settings.ceilometer_secrets))
        except ArchiveFailed as exc:
            damage = str(exc)
        self.stdout.write(damage or f"{path}: {found[None]:,} of {found.total():,} samples verify")
        for reason, times in found.most_common(20):
            if reason is not None:
                self.stdout.write(f"  {times:,}: {reason}")
        return not damage and found.keys() <= {None}
