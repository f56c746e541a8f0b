"""The control worker's tasks: thin, the work is in the models and in the store."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from metering import sources
from metering.celery import app
from metering.dispatching import Orders, dispatch_slot
from metering.signing import Keyring
from metering.store import dead_letters, digests, leases, quarantine, rollups
from metering.tasks.intake import LedgerTask, keeping_folder, settings

log = logging.getLogger(__name__)


@app.task(name="metering.dispatch", base=LedgerTask, Request="metering.tasks.intake:PlainRequest")
def dispatch(source: str) -> None:
    """Send the present slot's poll orders of one source to every enabled node, once, and note what was missed.

    Safe to run again, and from two beats: a slot is expected once.
    """
    told = settings()
    known = {entry.name: entry for entry in sources.load(told.sources_file, told.poll_interval)}
    if source not in known:
        log.error("beat asks for the source %r, which METERING_SOURCES_FILE does not name here", source)
        return
    dispatch_slot(known[source], Orders(app), told.central_shards, datetime.now(UTC))


@app.task(name="metering.drain_dead", base=LedgerTask, Request="metering.tasks.intake:PlainRequest")
def drain_dead() -> None:
    """Move dead letters, and what was kept in files while the database was away, into quarantine."""
    with app.connection_for_read() as broker:
        drained = dead_letters.drain(broker)
    loaded = quarantine.load_kept(keeping_folder())
    if drained or loaded:
        log.warning("%d dead letters and %d files went into quarantine", drained, loaded)


@app.task(name="metering.roll_up", base=LedgerTask, Request="metering.tasks.intake:PlainRequest")
def roll_up() -> None:
    """Roll up the hours that ended since the last time, and what came late."""
    rollups.roll_up(datetime.now(UTC), seconds=45)  # of a long history it does a part each minute


MOST_SEALED = 100_000_000  # samples of a day: to read more would take longer than a task may


@app.task(name="metering.seal_days", base=LedgerTask, Request="metering.tasks.intake:PlainRequest")
def seal_days() -> None:
    """Digest what was recorded of days that are over. Safe to run again: a generation is made once."""
    with leases.held("seal days", timedelta(minutes=15)) as lease:
        if lease is not None:
            for made in digests.seal(Keyring(settings().secrets), MOST_SEALED):
                log.info("%s: %d samples are sealed", made, made.samples)
                lease.renew()
