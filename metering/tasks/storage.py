"""The storage worker's one task: from a batch's bytes to committed rows."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from metering import messages, plain, plugins
from metering.celery import app
from metering.errors import MalformedBatch, StoreAway
from metering.publish import CONFIRM_SECONDS, RECORD_SAMPLES
from metering.sifting import Rules, Sifted, Sifter, refusal
from metering.signing import Keyring
from metering.store import quarantine, receipts, writing
from metering.store.quarantine import Kept
from metering.tasks.intake import LedgerTask, keeping_folder, settings

log = logging.getLogger(__name__)

# SQLSTATE classes of what passes: connection, rollback (a deadlock), resources (a full disk), locks, operator's stop.
PASSING = ("08", "40", "53", "55", "57")


@app.task(name=RECORD_SAMPLES, base=LedgerTask, Request="metering.tasks.intake:PlainRequest")
def record_samples(batch: str) -> None:
    """Store every genuine sample of the batch once.

    Safe to run again: a known sample is ignored. A bad sample goes to quarantine, alone, with its reason.
    A database that is away is waited for; then the batch is parked: published anew, for later, and confirmed.
    """
    patience = settings().patience_seconds
    try:
        sifted = _patiently(batch, patience)
        quarantine.load_kept(keeping_folder())  # what was refused while the database was away
    except StoreAway as exc:
        log.error("the database is away (%s): a batch is parked for %d s", exc, patience)
        app.send_task(
            RECORD_SAMPLES,
            (batch,),
            countdown=patience,
            timeout=CONFIRM_SECONDS,
            confirm_timeout=CONFIRM_SECONDS,
        )
        return
    if settings().plain_messages:
        plain.publish(app, sifted.genuine, settings())


def record(batch: str, sifter: Sifter) -> Sifted:
    """One attempt to store a batch. Raises `StoreAway` when the database takes nothing now; nothing is stored then."""
    now = datetime.now(UTC)
    try:
        disabled = receipts.disabled()
        try:
            sifted = sifter.sift(messages.read(batch), now, disabled)
        except MalformedBatch as exc:
            body = str(batch).encode("utf-8", "surrogatepass")
            quarantine.keep(Kept("batch", body, str(exc)), keeping_folder())
            return Sifted()
        _write(sifted, now)
    except (DatabaseError, InterfaceError) as exc:
        if not passes(exc):
            raise
        connection.close()
        raise StoreAway(str(exc).strip()) from exc
    return sifted


def passes(exc: Exception) -> bool:
    """Whether the same statement may succeed later."""
    code = getattr(exc.__cause__, "pgcode", None)
    return isinstance(exc, OperationalError | InterfaceError) if code is None else code[:2] in PASSING


@cache
def sifter() -> Sifter:
    """What this worker believes, by its settings and by the plugins that are installed with it."""
    told = settings()
    return Sifter(
        Rules(
            keyring=Keyring(told.secrets),
            ceilometer_secrets=told.ceilometer_secrets,
            oldest=timedelta(days=told.retention_days) if told.retention_days else None,
            ahead=timedelta(seconds=told.ahead_seconds),
            not_from_compute=plugins.not_from_compute(told, os.environ),
        )
    )


def _patiently(batch: str, patience: float) -> Sifted:
    """Try until the database takes the batch, or ``patience`` seconds are over. Raises `StoreAway` then."""
    give_up, pause = time.monotonic() + patience, 0.2
    while True:
        try:
            return record(batch, sifter())
        except StoreAway as exc:
            if time.monotonic() + pause > give_up:
                raise
            log.warning("the database is away, trying again in %.1f s: %s", pause, exc)
            time.sleep(pause)
            pause = min(2 * pause, 5)


def _write(sifted: Sifted, now: datetime) -> None:
    """Store what is genuine; where the database refuses a message, find it: the others are stored, it is kept."""
    try:
        outcome = writing.record(sifted, now)
    except DatabaseError as exc:
        if passes(exc) or not sifted.genuine:
            raise
        log.warning("the database refused %d samples: %s", len(sifted.genuine), exc)
        for part in _parts(sifted, str(exc).strip()):
            _write(part, now)
        return
    log.info("%d stored, %d known, %d refused", outcome.stored, outcome.known, outcome.refused)


def _parts(sifted: Sifted, reason: str) -> Iterator[Sifted]:
    """Two halves of what the database refused; of a single message, its refusal."""
    middle = len(sifted.genuine) // 2
    if middle:
        yield Sifted(sifted.genuine[:middle], sifted.refused, sifted.receipt)
        yield Sifted(sifted.genuine[middle:])
        return
    [item] = sifted.genuine
    yield Sifted([], [*sifted.refused, refusal(item, f"the database refused it: {reason}")], sifted.receipt)
