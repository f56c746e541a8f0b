"""``manage.py rebuild_rollups``: make roll-ups anew from the samples, day by day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from metering.bounds import parse_timestamp
from metering.errors import MalformedMessage
from metering.management import progress
from metering.store import rollups, watermarks


class Command(BaseCommand):
    """The roller goes on beside it; each day is a transaction, so that readers see its old roll-ups or the new."""

    help = (
        "Make the roll-ups of a range anew from its samples. Never of days whose samples have expired. "
        "Interrupt it and go on with --start at the day it names."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--start", help="ISO 8601: hours at or after; by default all that have samples")
        parser.add_argument("--end", help="ISO 8601: hours before; by default all that are rolled up")
        parser.add_argument("--dry-run", action="store_true", help="change nothing, only say which days it would be")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        start, end = _range(_moment(options["start"], "--start"), _moment(options["end"], "--end"))
        days = list(_days(start, end))
        if dry_run or not days:
            self.stdout.write(f"{len(days)} days to rebuild{_named(days)} (nothing was changed)")
            return
        made = 0
        for number, day in enumerate(days):
            try:
                gone, came = rollups.rebuild(day, start, end)
            except KeyboardInterrupt as exc:
                raise CommandError(f"interrupted after {number} days; go on with --start {day:%Y-%m-%d}") from exc
            made += came
            if gone != came:
                self.stdout.write(f"{day:%Y-%m-%d}: {came} hours of series where there were {gone}")
            progress.show(self.stderr, number + 1, len(days), "days")
        self.stdout.write(f"{len(days)} days rebuilt{_named(days)}: {made} hours of series")


def _moment(text: str | None, option: str) -> datetime | None:
    try:
        return None if text is None else rollups.hour_of(parse_timestamp(text))
    except MalformedMessage as exc:
        raise CommandError(f"{option}: {exc}") from exc


def _range(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """The hours that were asked for, as far as there are samples and roll-ups of them."""
    with connection.cursor() as cursor:
        marks = watermarks.marks(cursor)
        oldest = rollups.oldest_hour(cursor, marks)
    first, last = max(start or oldest, oldest), min(end or marks.rolled, marks.rolled)
    return first, max(first, last)


def _days(start: datetime, end: datetime) -> Iterator[datetime]:
    day = rollups.day_of(start) if start < end else end
    while day < end:
        yield day
        day += rollups.DAY


def _named(days: list[datetime]) -> str:
    return f", {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}" if days else ""
