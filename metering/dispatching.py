"""One slot's poll orders: who is expected to poll, who was ordered to, and what was missed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import amqp.exceptions
from celery import Celery

from metering.environment import CENTRAL
from metering.models import Node, PollSlot
from metering.publish import CONFIRM_SECONDS
from metering.sources import Source
from metering.store import polls
from metering.store.polls import Moment, Polled

log = logging.getLogger(__name__)

NOT_DISPATCHED = "not dispatched"
NO_ROUTE = "no route"
MOST_MISSED = 1_000  # slots caught up with in one tick: each is a row a node
_NO_ROUTE_CODE = 312


@dataclass(frozen=True, slots=True)
class Slot:
    """One moment at which a source is due."""

    source: Source
    number: int

    @property
    def due(self) -> datetime:
        return datetime.fromtimestamp(self.number * self.source.interval, UTC)

    @property
    def deadline(self) -> datetime:
        """Until when a poll of this slot may begin; then the next one is near."""
        return self.due + timedelta(seconds=0.8 * self.source.interval)

    @property
    def moment(self) -> Moment:
        return Moment(self.number, self.due, self.deadline)


@dataclass(frozen=True, slots=True)
class Orders:
    """Sends poll orders: by exchange and key, so that no queue of a dead node comes into being."""

    app: Celery

    def send(self, node: str, order: Mapping[str, Any], seconds: float) -> bool:
        """Order one poll, for the next ``seconds``; False when nobody listens (RabbitMQ tells, Redis does not)."""
        task = "pollsters.poll_central" if node == CENTRAL else "pollsters.poll_compute"
        try:
            self.app.send_task(
                task,
                (order,),
                routing_key=node,
                expires=seconds,
                timeout=CONFIRM_SECONDS,
                confirm_timeout=CONFIRM_SECONDS,
            )
        except amqp.exceptions.ChannelError as exc:
            if exc.reply_code != _NO_ROUTE_CODE:
                raise
            return False
        return True


def dispatch_slot(source: Source, orders: Orders, central_shards: int, now: datetime) -> None:
    """Expect the present slot's polls and order them, unless that was done; note the slots that nobody dispatched."""
    slot = Slot(source, int(now.timestamp()) // source.interval)
    polled = _polled(central_shards)
    _note_missed(slot, polled, now)
    if now > slot.deadline:
        if polls.expect(source.name, [slot.moment], polled, NOT_DISPATCHED, now):
            log.error("slot %d of %s was found past its deadline: nobody polls it", slot.number, source.name)
        return
    seconds = (slot.deadline - now).total_seconds()
    shards = {node.node: node.shards for node in polled}
    for node, shard in polls.expect(source.name, [slot.moment], polled, "", now):
        if not orders.send(node, _order(slot, shard, shards[node]), seconds):
            log.warning("no route to %s", node)
            PollSlot.objects.filter(source=source.name, slot=slot.number, node=node).update(note=NO_ROUTE)


def _polled(central_shards: int) -> list[Polled]:
    """The nodes that are polled. All central workers are one, whose work is cut into shards."""
    nodes = Node.objects.filter(enabled=True, role__in=("compute", "central"))
    found = {
        CENTRAL if node.role == CENTRAL else node.name: Polled(
            CENTRAL if node.role == CENTRAL else node.name,
            central_shards if node.role == CENTRAL else 1,
            node.first_seen,
        )
        for node in nodes
    }
    return list(found.values())


def _order(slot: Slot, shard: int, shards: int) -> dict[str, Any]:
    return {
        "source": slot.source.name,
        "slot": slot.number,
        "due": slot.due.isoformat(),
        "deadline": slot.deadline.isoformat(),
        "shard": shard,
        "shards": shards,
    }


def _note_missed(slot: Slot, polled: list[Polled], now: datetime) -> None:
    """Expect the slots since the last one too: what nobody dispatched is a gap, and a gap is data."""
    last = PollSlot.objects.filter(source=slot.source.name, due__lt=slot.due).order_by("-due").first()
    if last is None:
        return
    first = max(int(last.due.timestamp()) // slot.source.interval + 1, slot.number - MOST_MISSED)
    missed = [Slot(slot.source, number).moment for number in range(first, slot.number)]
    if polls.expect(slot.source.name, missed, polled, NOT_DISPATCHED, now):
        log.error("%d slots of %s were not dispatched", len(missed), slot.source.name)
