"""Answer a poll order: read once, keep the signed batches, send them.

An order that comes twice is read once: what was read for it waits in the spool, or is known to be sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from metering import messages
from metering.environment import Environment
from metering.errors import BrokerAway
from metering.publish import Publisher
from metering.sources import Source
from metering.spool import Spool
from pollsters import runner
from pollsters.order import PollOrder

log = logging.getLogger(__name__)

UNKNOWN_SOURCE = "unknown source"  # counted in the receipt: this host's METERING_SOURCES_FILE is not dispatch's

Take = Callable[[Source, datetime], runner.Poll]  # read what the source wants; told what time it is


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a plugin host's orders are answered."""

    publisher: Publisher
    spool: Spool
    sources: Mapping[str, Source]  # by name
    node: str  # under which it was ordered, and is counted

    def answer(self, order: PollOrder, take: Take) -> None:
        """Poll, unless that was done, and send all that waits. A broker that is away is met at the next order."""
        now = datetime.now(UTC)
        if self.spool.state(order.key) == "new":
            if now < order.deadline:
                self._keep(order, self._poll(order, take, now))
            else:
                log.warning("too late for slot %d of %s: it was due at %s", order.slot, order.source, order.due)
        try:
            self.spool.flush(self.publisher.send)
        except BrokerAway as exc:
            log.warning("what was read waits in the spool: %s", exc)

    def _poll(self, order: PollOrder, take: Take, now: datetime) -> runner.Poll:
        source = self.sources.get(order.source)
        if source is None:
            log.error("an order for the source %r, which METERING_SOURCES_FILE does not have here", order.source)
            poll = runner.Poll(now)
            poll.errors[UNKNOWN_SOURCE] = 1
            return poll
        return take(source, now)

    def _keep(self, order: PollOrder, poll: runner.Poll) -> None:
        receipt = messages.Poll(
            source=order.source,
            slot=order.slot,
            shard=order.shard,
            read_at=poll.read_at,
            guests=poll.guests,
            errors=poll.errors,
            dropped=self.spool.dropped,
        )
        batches = self.publisher.pack(poll.counters, receipt, self.node)
        self.spool.write(order.key, batches, len(poll.counters))


def spool_of(settings: Environment) -> Spool:
    """The publisher's own folder in METERING_SPOOL_DIR, which hosts of several roles may share."""
    return Spool(settings.spool_dir / settings.publisher.replace("/", "-"), settings.spool_bytes)
