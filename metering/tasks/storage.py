"""The storage worker's one task: from a batch's bytes to committed rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

from django.db import DatabaseError

from metering import messages, plugins
from metering.celery import app
from metering.errors import BrokerAway, MalformedBatch, StoreAway
from metering.publish import RECORD_SAMPLES
from metering.sifting import Rules, Sifted, Sifter, refusal
from metering.store import quarantine, receipts, writing
from metering.store.quarantine import Kept
from metering.tasks.attempts import one_attempt, park, passes, patiently
from metering.tasks.intake import LedgerTask, keeping_folder, settings
from metering.telling import tell_others

log = logging.getLogger(__name__)


@app.task(name=RECORD_SAMPLES, base=LedgerTask, Request="metering.tasks.intake:PlainRequest")
def record_samples(batch: str) -> None:
    """Store every genuine sample of the batch once.

    Safe to run again: a known sample is ignored. A bad sample goes to quarantine, alone, with its reason.
    A database that is away is waited for; then the batch is parked: published anew, for later, and confirmed.
    So is one that is stored, and that the bus for others to read did not take.
    """
    patience = settings().patience_seconds
    try:
        sifted = patiently(lambda: record(batch, sifter()), patience)
        quarantine.load_kept(keeping_folder())  # what was refused while the database was away
        tell_others(app, sifted.genuine, settings())
    except (StoreAway, BrokerAway) as exc:
        park(RECORD_SAMPLES, batch, patience, exc)


def record(batch: str, sifter: Sifter) -> Sifted:
    """One attempt to store a batch. Raises `StoreAway` when the database takes nothing now; nothing is stored then."""
    now = datetime.now(UTC)
    with one_attempt():
        disabled = receipts.disabled()
        try:
            sifted = sifter.sift(messages.read(batch), now, disabled)
        except MalformedBatch as exc:
            body = str(batch).encode("utf-8", "surrogatepass")
            quarantine.keep(Kept("batch", body, str(exc)), keeping_folder())
            return Sifted()
        _write(sifted, now)
    return sifted


@cache
def sifter() -> Sifter:
    """What this worker believes, by its settings and by the plugins that are installed with it."""
    told = settings()
    return Sifter(Rules.of(told, plugins.not_from_compute(told, os.environ)))


def _write(sifted: Sifted, now: datetime) -> None:
    """Store what is genuine; where the database refuses a message, find it: the others are stored, it is kept.

    Afterwards ``sifted.genuine`` is what the store holds.
    """
    try:
        outcome = writing.record(sifted, now)
    except DatabaseError as exc:
        if passes(exc) or not sifted.genuine:
            raise
        log.warning("the database refused %d samples: %s", len(sifted.genuine), exc)
        parts = list(_parts(sifted, str(exc).strip()))
        for part in parts:
            _write(part, now)
        sifted.genuine = [item for part in parts for item in part.genuine]
        return
    log.info("%d stored, %d known, %d refused", outcome.stored, outcome.known, outcome.refused)
    if outcome.differing:
        log.warning("%d samples say something else than what is stored under their id", outcome.differing)


def _parts(sifted: Sifted, reason: str) -> Iterator[Sifted]:
    """Two halves of what the database refused; of a single message, its refusal."""
    middle = len(sifted.genuine) // 2
    if middle:
        yield Sifted(sifted.genuine[:middle], sifted.refused, sifted.receipt)
        yield Sifted(sifted.genuine[middle:])
        return
    [item] = sifted.genuine
    yield Sifted([], [*sifted.refused, refusal(item, f"the database refused it: {reason}")], sifted.receipt)
