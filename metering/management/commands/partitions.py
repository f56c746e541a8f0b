"""List the days of samples: what each holds, and what became of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from metering.models import LedgerDay
from metering.store import partitions
from metering.store.partitions import Day

_COLUMNS = "{day:10}  {state:7}  {rows:>15}  {originals:>12}  {bytes:>17}  {archive}"


class Command(BaseCommand):
    """Reads PostgreSQL's catalogue, and no sample."""

    help = "List the days of samples: open, closed or dropped, with rows (estimated) and bytes on disk."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object a line")
        parser.add_argument("--make", action="store_true", help="make those of today and the next days first")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["make"]:
            partitions.ahead(datetime.now(UTC))
        told = rows()
        if options["json"]:
            for row in told:
                self.stdout.write(json.dumps(row))
            return
        self.stdout.write(
            _COLUMNS.format(
                day="day", state="state", rows="rows", originals="originals", bytes="bytes", archive="archive"
            )
        )
        for row in told:
            shown = {name: f"{value:,}" if isinstance(value, int) else value for name, value in row.items()}
            self.stdout.write(_COLUMNS.format(**shown).rstrip())


def rows() -> list[dict[str, Any]]:
    """Each day that has a partition, or had one, the oldest first."""
    attached = {day.day: day for day in partitions.days()}
    known = {row.day: row for row in LedgerDay.objects.all()}
    there = [_there(day, known.get(day.day)) for day in attached.values()]
    gone = [_gone(row) for row in known.values() if row.day not in attached and row.dropped_at]
    return sorted(there + gone, key=lambda row: str(row["day"]))


def _there(day: Day, known: LedgerDay | None) -> dict[str, Any]:
    return {
        "day": day.day.isoformat(),
        "state": "closed" if known and known.closed_at else "open",
        "rows": day.rows.get("sample", 0),
        "originals": day.rows.get("sample_original", 0),
        "bytes": day.bytes,
        "archive": known.archive if known else "",
    }


def _gone(known: LedgerDay) -> dict[str, Any]:
    """With what it held when it was dropped."""
    return {
        "day": known.day.isoformat(),
        "state": "dropped",
        "rows": known.dropped_rows,
        "originals": 0,
        "bytes": known.dropped_bytes,
        "archive": known.archive,
    }
