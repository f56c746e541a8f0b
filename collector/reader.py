"""Reading our queues on a services' broker: deliveries as they came, and their acknowledgement."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from kombu import Connection, Queue
from kombu import Consumer as QueueConsumer

from collector.bus import queue_of

MOST_AT_ONCE = 100  # deliveries
SOON = 0.002  # seconds in which a broker hands over what it has


@dataclass(slots=True)
class Delivery:
    """A notification as a broker handed it over, nothing of it decoded."""

    exchange: str  # of the service; our queue for it was read
    body: bytes | str
    content_type: str | None
    receipt: Any  # what acknowledges it; the body need not be kept for that
    fault: Exception | None = None  # why not even its compression could be undone


class Reader(Protocol):
    """Hands over what the broker sends. None of it is the broker's to forget before it is acknowledged."""

    def consume(self, exchange: str) -> None:
        """Begin to read our queue for this exchange."""
        ...

    def take(self, seconds: float) -> Sequence[Delivery]:
        """What came, in order; nothing when nothing did for so long. Raises what a broken connection raises."""
        ...

    def acknowledge(self, receipts: Sequence[Any]) -> None:
        """Let the broker forget all that was taken since the last time: these, in order."""
        ...

    def cancel(self) -> None:
        """Take no more."""
        ...


class KombuReader:
    """Through kombu, one by one: for every broker that it knows. Redis is the one that we use."""

    def __init__(self, connection: Connection, prefetch: int) -> None:
        self._connection, self._prefetch = connection, prefetch
        self._channel = connection.channel()
        self._taken: list[Delivery] = []

    def consume(self, exchange: str) -> None:
        consumer = QueueConsumer(
            self._channel,
            queues=[Queue(queue_of(exchange), durable=True)],
            no_ack=False,
            auto_declare=False,
            on_message=partial(self._take, exchange, None),  # the raw message: kombu decodes nothing
            on_decode_error=partial(self._take_broken, exchange),
        )
        consumer.qos(prefetch_count=self._prefetch)
        consumer.consume()

    def take(self, seconds: float) -> Sequence[Delivery]:
        with contextlib.suppress(TimeoutError):  # nothing came
            self._connection.drain_events(timeout=seconds)
            while len(self._taken) < MOST_AT_ONCE:  # kombu hands over one at a time: what else is there?
                self._connection.drain_events(timeout=SOON)
        taken, self._taken = self._taken, []
        return taken

    def acknowledge(self, receipts: Sequence[Any]) -> None:
        for message in receipts:  # Redis knows each apart
            message.ack()

    def cancel(self) -> None:
        """Nothing yet: kombu may have asked for a message ahead of time, and one that came for a cancelled consumer
        would be lost. What comes until the connection closes is put back then.
        """

    def _take(self, exchange: str, fault: Exception | None, message: Any) -> None:
        self._taken.append(Delivery(exchange, message.body, message.content_type, message, fault))

    def _take_broken(self, exchange: str, message: Any, exc: Exception) -> None:
        """What kombu cannot even unpack (a broken compression)."""
        self._take(exchange, exc, message)
