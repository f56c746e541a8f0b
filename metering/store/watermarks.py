"""How far the store has got, and the lock under which that moves: writers share it, who moves a mark has it alone.

A writer holds the lock from before it reads the marks until it has committed. So whoever has the lock alone sees
every row that was written under the old marks, and each later row is written under the new ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import OperationalError, connection, transaction
from psycopg2.errors import LockNotAvailable

Cursor = Any  # Django's wrapper, with psycopg2's COPY

LOCK = 0x6E657068  # an advisory lock of transactions, which a connection pool does not leak
LOCK_TIMEOUT = "100ms"  # a writer waits behind whoever waits for the lock alone, so that one must not wait long
PAUSE = 0.05  # seconds between two attempts, in which waiting writers get on


@dataclass(frozen=True, slots=True)
class Watermarks:
    """What a writer goes by. The epoch stands for a mark that was never set."""

    recorded_at: datetime  # of all rows of its transaction: not before the last `cut`, whatever the clock does
    closing: datetime  # hours before it are rolled up, or about to be: a sample of them is late
    raw_from: datetime  # samples before it have expired


@dataclass(frozen=True, slots=True)
class Marks:
    """The one row of ``rollup_state``: all aligned to the hour, and never moved back."""

    rolled: datetime  # roll-ups hold every hour before it, but for what ``late`` names
    closing: datetime
    raw_from: datetime


_SHARE = "SELECT pg_advisory_xact_lock_shared(%s)"
_READ = "SELECT {columns} FROM (SELECT 1) AS one LEFT JOIN rollup_state ON true"
_EPOCH = "'1970-01-01T00:00:00+00:00'::timestamptz"
_MARKS = ", ".join(f"COALESCE({name}, {_EPOCH})" for name in ("rolled", "closing", "raw_from"))
# Two statements in one round trip: the second sees what was committed while the first waited.
_WRITING = f"""{_SHARE};
{_READ.format(columns=f"GREATEST(clock_timestamp(), cut), COALESCE(closing, {_EPOCH}), COALESCE(raw_from, {_EPOCH})")}
"""


def writing(cursor: Cursor) -> Watermarks:
    """The marks that the present transaction writes under; they stand still until it ends.

    To be called before anything is written, and outside a savepoint, which would let go of the lock.
    """
    cursor.execute(_WRITING, [LOCK])
    return Watermarks(*cursor.fetchone())


def marks(cursor: Cursor) -> Marks:
    """The marks as they are in this statement. Only under the lock do they stay so."""
    cursor.execute(_READ.format(columns=_MARKS))
    return Marks(*cursor.fetchone())


@contextmanager
def exclusive(patience: float = 30.0) -> Iterator[Cursor]:
    """A transaction beside which no sample is written: every row that was begun before is there.

    Writers wait meanwhile: milliseconds of work belong in here, not more. Not within a transaction.
    Raises `OperationalError` when the lock was not to be had for ``patience`` seconds.
    """
    held, cursor = _attempt_until(time.monotonic() + patience)
    with held:
        yield cursor


def _attempt_until(give_up: float) -> tuple[ExitStack, Cursor]:
    """A transaction that has the lock alone, and its cursor. Writers get on between attempts."""
    while True:
        try:
            with ExitStack() as stack:
                stack.enter_context(transaction.atomic(durable=True))
                cursor = stack.enter_context(connection.cursor())
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
                cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
                return stack.pop_all(), cursor
        except OperationalError as exc:
            if not isinstance(exc.__cause__, LockNotAvailable) or time.monotonic() > give_up:
                raise
        time.sleep(PAUSE)


def cut(cursor: Cursor) -> datetime:
    """Part what was recorded from what will be: each row there has an earlier ``recorded_at``, each later row none.

    Under the lock alone. It is the clock's time, but after each earlier cut even when the clock was set back; a row
    recorded before that with a time still to come counts as recorded after this cut, and is then seen by the next.
    """
    cursor.execute(
        "INSERT INTO rollup_state AS state (id, rolled, closing, raw_from, cut) "
        f"VALUES (1, {_EPOCH}, {_EPOCH}, {_EPOCH}, clock_timestamp()) ON CONFLICT (id) DO UPDATE "
        "SET cut = GREATEST(excluded.cut, state.cut + interval '1 microsecond') RETURNING cut"
    )
    moment: datetime = cursor.fetchone()[0]
    return moment


def advance(
    cursor: Cursor,
    *,
    rolled: datetime | None = None,
    closing: datetime | None = None,
    raw_from: datetime | None = None,
) -> Marks:
    """Move marks forward, and say where all are now; one that is further already stays.

    ``closing`` and ``raw_from`` only under the lock alone: writers go by them.
    """
    cursor.execute(
        "INSERT INTO rollup_state AS state (id, rolled, closing, raw_from) "
        f"VALUES (1, COALESCE(%s, {_EPOCH}), COALESCE(%s, {_EPOCH}), COALESCE(%s, {_EPOCH})) "
        "ON CONFLICT (id) DO UPDATE "
        "SET rolled = GREATEST(excluded.rolled, state.rolled), closing = GREATEST(excluded.closing, state.closing), "
        "raw_from = GREATEST(excluded.raw_from, state.raw_from) RETURNING rolled, closing, raw_from",
        [rolled, closing, raw_from],
    )
    return Marks(*cursor.fetchone())


def keep_late(cursor: Cursor, hours: Iterable[tuple[int, datetime]]) -> None:
    """Note the (series, hour) of samples before ``closing``, in the transaction that writes these.

    Append-only and without a key: two writers that note the same must not wait for each other, nor for the roller.
    """
    rows = sorted(set(hours))
    if rows:
        cursor.execute(
            "INSERT INTO late (series_id, hour) SELECT * FROM unnest(%s::bigint[], %s::timestamptz[])",
            [list(column) for column in zip(*rows, strict=True)],
        )
