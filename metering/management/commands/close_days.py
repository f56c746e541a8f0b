"""Close days by hand: what the control worker does by itself each hour."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.store import closing, leases
from metering.tasks.control import DAYS_LEASE


class Command(BaseCommand):
    """May be interrupted and started again at will."""

    help = "Rewrite the samples of days that are over, sorted by series: smaller, and faster to read."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("days", nargs="*", type=date.fromisoformat, metavar="DAY", help="by default those due")
        parser.add_argument("--dry-run", action="store_true", help="only say which")

    def handle(self, *, days: list[date], dry_run: bool, **_: Any) -> None:
        chosen = days or closing.due(datetime.now(UTC))
        if dry_run:
            for day in chosen:
                self.stdout.write(f"{day} would be closed")
            return
        with leases.held("days", DAYS_LEASE) as lease:
            if lease is None:
                raise CommandError("another process is closing or dropping days now")
            for day in chosen:
                rows = closing.close(day)
                self.stdout.write(f"{day}: it has no partition" if rows is None else f"{day} closed: {rows:,} samples")
                lease.renew()
