"""The control worker's tasks: thin, the work is in the models and in the store."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from django.db import OperationalError

from metering import sources
from metering.celery import app
from metering.dispatching import Orders, dispatch_slot
from metering.errors import Overtaken, RollupsBehind
from metering.signing import Keyring
from metering.store import closing, dead_letters, digests, leases, partitions, quarantine, retention, rollups
from metering.tasks.intake import LedgerTask, keeping_folder, settings

log = logging.getLogger(__name__)

DAYS_LEASE = timedelta(hours=6)  # a day that takes longer to be closed should be closed by fewer at once


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


@app.task(
    name="metering.keep_days",
    base=LedgerTask,
    Request="metering.tasks.intake:PlainRequest",
    acks_late=False,  # a large day takes longer to be closed than the broker waits for an acknowledgement
    time_limit=int(DAYS_LEASE.total_seconds()),
)
def keep_days() -> None:
    """Make the partitions of the next days, close those that are over, and let go of those that have expired.

    One process at a time; what it does not get done, the next tick does.
    """
    told, now = settings(), datetime.now(UTC)
    partitions.ahead(now)
    with leases.held("days", DAYS_LEASE) as lease:
        if lease is None:
            return
        for day in closing.due(now):
            try:
                log.info("%s was closed: %s samples", day, closing.close(day))
            except (Overtaken, OperationalError) as exc:  # readers, mostly, that do not let go of it
                log.warning("%s is not closed yet: %s", day, exc)
            lease.renew()
        try:
            expiry = retention.expired(now, told.retention_days)
            outcome = retention.expire(expiry, told.archive_dir, Keyring(told.secrets))
        except RollupsBehind as exc:
            log.warning("%s", exc)
            return
        for dropped in outcome.dropped:
            log.info("the samples of %s have expired and were dropped", dropped.day)
        retention.drop_rollups(retention.expired_rollups(now, told.rollup_retention_days))


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
