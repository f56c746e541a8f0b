"""What to do with a batch while the database is away: try again, then park it on the broker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from metering.celery import app
from metering.errors import BrokerAway, StoreAway
from metering.publish import CONFIRM_SECONDS

log = logging.getLogger(__name__)

T = TypeVar("T")

# SQLSTATE classes of what passes: connection, rollback (a deadlock), resources (a full disk), locks, operator's stop.
PASSING = ("08", "40", "53", "55", "57")


def passes(exc: Exception) -> bool:
    """Whether the same statement may succeed later."""
    code = getattr(exc.__cause__, "pgcode", None)
    return isinstance(exc, OperationalError | InterfaceError) if code is None else code[:2] in PASSING


@contextmanager
def one_attempt() -> Iterator[None]:
    """Raises `StoreAway` where the database takes nothing now, and lets its other errors through."""
    try:
        yield
    except (DatabaseError, InterfaceError) as exc:
        if not passes(exc):
            raise
        connection.close()
        raise StoreAway(str(exc).strip()) from exc


def patiently(attempt: Callable[[], T], patience: float) -> T:
    """Try until the database takes the batch, or ``patience`` seconds are over. Raises `StoreAway` then."""
    give_up, pause = time.monotonic() + patience, 0.2
    while True:
        try:
            return attempt()
        except StoreAway as exc:
            if time.monotonic() + pause > give_up:
                raise
            log.warning("the database is away, trying again in %.1f s: %s", pause, exc)
            time.sleep(pause)
            pause = min(2 * pause, 5)


def park(task: str, batch: str, patience: int, reason: StoreAway | BrokerAway) -> None:
    """Publish the batch anew, for later; returns when the broker has confirmed it."""
    away = "the database is away" if isinstance(reason, StoreAway) else "others cannot be told"
    log.error("%s (%s): a batch is parked for %d s", away, reason, patience)
    app.send_task(task, (batch,), countdown=patience, timeout=CONFIRM_SECONDS, confirm_timeout=CONFIRM_SECONDS)
