"""The storage worker's task for events: from a batch's bytes to committed rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

from django.db import DatabaseError

from metering import event_messages
from metering.celery import app
from metering.errors import MalformedBatch, StoreAway
from metering.event_messages import RECORD_EVENTS
from metering.event_sifting import EventSifter, SiftedEvents, refused
from metering.store import events, quarantine, receipts
from metering.store.quarantine import Kept
from metering.tasks import storage
from metering.tasks.attempts import one_attempt, park, passes, patiently
from metering.tasks.intake import LedgerTask, keeping_folder, settings

log = logging.getLogger(__name__)


@app.task(name=RECORD_EVENTS, base=LedgerTask, Request="metering.tasks.intake:PlainRequest")
def record_events(batch: str) -> None:
    """Store every genuine event of the batch once.

    Safe to run again: a known event is ignored. A bad one goes to quarantine, alone, with its reason. A database
    that is away is waited for; then the batch is parked.
    """
    patience = settings().patience_seconds
    try:
        patiently(lambda: record(batch, sifter()), patience)
        quarantine.load_kept(keeping_folder())
    except StoreAway as exc:
        park(RECORD_EVENTS, batch, patience, exc)


def record(batch: str, sifter: EventSifter) -> SiftedEvents:
    """One attempt to store a batch. Raises `StoreAway` when the database takes nothing now; nothing is stored then."""
    now = datetime.now(UTC)
    with one_attempt():
        disabled = receipts.disabled()
        try:
            sifted = sifter.sift(event_messages.read(batch), now, disabled)
        except MalformedBatch as exc:
            body = str(batch).encode("utf-8", "surrogatepass")
            quarantine.keep(Kept("batch", body, str(exc), details={"task": RECORD_EVENTS}), keeping_folder())
            return SiftedEvents()
        _write(sifted, now)
    return sifted


@cache
def sifter() -> EventSifter:
    """What this worker believes: of events and samples alike."""
    return EventSifter(storage.sifter())


def _write(sifted: SiftedEvents, now: datetime) -> None:
    """Store what is genuine; where the database refuses an event, find it: the others are stored, it is kept."""
    try:
        outcome = events.record(sifted, now)
    except DatabaseError as exc:
        if passes(exc) or not sifted.genuine:
            raise
        log.warning("the database refused %d events: %s", len(sifted.genuine), exc)
        for part in _parts(sifted, str(exc).strip()):
            _write(part, now)
        return
    log.info("%d events stored, %d known, %d refused", outcome.stored, outcome.known, outcome.refused)


def _parts(sifted: SiftedEvents, reason: str) -> Iterator[SiftedEvents]:
    """Two halves of what the database refused; of a single event, its refusal."""
    middle = len(sifted.genuine) // 2
    if middle:
        yield SiftedEvents(sifted.publisher, sifted.genuine[:middle], sifted.refused)
        yield SiftedEvents(sifted.publisher, sifted.genuine[middle:])
        return
    [item] = sifted.genuine
    _, kid, publisher = item.signer
    refusal = refused(publisher, kid, item.row, f"the database refused it: {reason}")
    yield SiftedEvents(sifted.publisher, [], [*sifted.refused, refusal])
