"""Samples expire by whole days: older ones are refused first, then what is there is archived, then it is dropped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from metering.errors import ArchiveFailed, RollupsBehind
from metering.models import LedgerDay
from metering.signing import Keyring
from metering.store import archive, digests, partitions, rollups, watermarks
from metering.store.partitions import PARTITIONED, Day

log = logging.getLogger(__name__)

_CHUNK = 10_000  # rows in one statement, where rows are deleted


@dataclass(frozen=True, slots=True)
class Expiry:
    """What has expired, or will have when ``before`` is reached."""

    before: datetime
    days: Sequence[Day]

    @property
    def rows(self) -> int:
        """As PostgreSQL estimates them."""
        return sum(day.rows.get("sample", 0) for day in self.days)

    @property
    def bytes(self) -> int:
        """On disk, with indexes."""
        return sum(day.bytes for day in self.days)

    @property
    def oldest(self) -> date | None:
        return self.days[0].day if self.days else None


@dataclass
class Outcome:
    """What became of the days that had expired."""

    dropped: list[Day] = field(default_factory=list)
    kept: dict[date, str] = field(default_factory=dict)  # day -> why it could not be dropped


def expired(now: datetime, keep_days: int) -> Expiry:
    """The days of which every sample is older than ``keep_days``; 0 keeps all but what is below ``raw_from``."""
    with connection.cursor() as cursor:
        before = watermarks.marks(cursor).raw_from
    if keep_days:
        oldest = (now - timedelta(days=keep_days)).astimezone(UTC)
        before = max(before, oldest.replace(hour=0, minute=0, second=0, microsecond=0))
    return Expiry(before, [day for day in partitions.days() if partitions.bounds(day.day)[1] <= before])


def expire(
    expiry: Expiry, archive_dir: Path | None, keyring: Keyring, watch: Callable[[int], None] | None = None
) -> Outcome:
    """Drop the days of an expiry, with ``archive_dir`` each once it is archived whole; the digests tell of it, signed.

    ``watch`` is told after each day how many are done.

    Safe to run again, and after any interruption. A day that cannot be archived is kept, with its reason. Raises
    `RollupsBehind` when the roll-ups do not hold all of it yet: nothing is dropped then.
    """
    outcome = Outcome()
    give_back()
    if not expiry.days:
        return outcome
    _refuse_older(expiry)
    for done, day in enumerate(expiry.days, 1):
        try:
            if archive_dir is not None and "sample" in day.tables:
                archive.keep(day.day, archive_dir)
            digests.seal_expiring(day.day, keyring)
        except ArchiveFailed as exc:
            log.error("%s is kept, for it cannot be archived: %s", day.day, exc)
            outcome.kept[day.day] = str(exc)
        else:
            take_away(day, keyring)
            give_back()
            outcome.dropped.append(day)
        if watch:
            watch(done)
    partitions.forget()
    _forget_foreign_ids(min([expiry.before, *(partitions.bounds(day)[0] for day in outcome.kept)]))
    return outcome


_TAKEN_AWAY = "_expired"  # after the name of a table that is no partition any more
_ALL_TAKEN_AWAY = "SELECT oid::regclass::text FROM pg_class WHERE relname ~ ANY(%s) AND relkind = 'r'"
_ROLLUPS = """
SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent IN ('sample_hour'::regclass, 'sample_day'::regclass)
    AND (regexp_match(pg_get_expr(child.relpartbound, child.oid), $$TO \\('([^']+)'\\)$$))[1]::timestamptz <= %s
ORDER BY child.relname
"""


def expired_rollups(now: datetime, keep_days: int) -> list[str]:
    """Partitions of roll-ups in which all is older than ``keep_days``, and its samples have expired; 0 keeps all."""
    if not keep_days:
        return []
    with connection.cursor() as cursor:
        before = min(now - timedelta(days=keep_days), watermarks.marks(cursor).raw_from)
        cursor.execute(_ROLLUPS, [before])
        return [table for (table,) in cursor.fetchall()]


def drop_rollups(tables: Iterable[str]) -> None:
    """Drop these partitions of roll-ups."""
    for table in tables:
        partitions.change(partial(_drop_table, table=table))


def _drop_table(cursor: Any, table: str) -> None:
    cursor.execute(f"DROP TABLE {table}")


def take_away(day: Day, keyring: Keyring) -> None:
    """Nobody finds anything of this day from now on; how long that takes does not depend on its size."""

    def work(cursor: Any) -> None:
        digests.dropped(day.day, keyring)
        for parent, table in day.tables.items():
            cursor.execute(f"ALTER TABLE {parent} DETACH PARTITION {table}")
            cursor.execute(f"ALTER TABLE {table} RENAME TO {table}{_TAKEN_AWAY}")
        if "sample" in day.tables:
            told = {"closed_at": None, "dropped_at": Now(), "dropped_rows": day.rows["sample"]}
            LedgerDay.objects.update_or_create(day=day.day, defaults=told | {"dropped_bytes": day.bytes})

    partitions.change(work)


def give_back() -> None:
    """Give the space of all days that were taken away back to the file system, which takes longer the more it is.

    Nobody waits for that. What an interruption leaves is there for the next call.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ALL_TAKEN_AWAY, [[f"^{parent}_[0-9]{{8}}{_TAKEN_AWAY}$" for parent in PARTITIONED]])
        for (table,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE IF EXISTS {table}")


def _refuse_older(expiry: Expiry) -> None:
    """From now on no sample of these days is stored: what is there is all that there will be."""
    with watermarks.exclusive() as cursor:
        marks = watermarks.marks(cursor)
        if marks.raw_from >= expiry.before:
            return
        if not rollups.is_settled(cursor, expiry.before):
            told = f"they hold those before {marks.rolled:%Y-%m-%d %H:%M} UTC, but for late ones"
            raise RollupsBehind(f"samples before {expiry.before:%Y-%m-%d} stay until the roll-ups hold them; {told}")
        watermarks.advance(cursor, raw_from=expiry.before)


def _forget_foreign_ids(before: datetime) -> None:
    """Those of samples that are gone: few, since only foreign messages have one, and in no partition."""
    deleted = _CHUNK
    with connection.cursor() as cursor:
        while deleted == _CHUNK:
            cursor.execute(
                "DELETE FROM foreign_id WHERE (message_id, series_id, ts) IN "
                "(SELECT message_id, series_id, ts FROM foreign_id WHERE ts < %s LIMIT %s)",
                [before, _CHUNK],
            )
            deleted = cursor.rowcount
