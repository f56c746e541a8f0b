"""A queue of notifications that somebody left, heard and emptied: acknowledged when all made of it is confirmed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kombu import Connection, Message

from collector.again import hear_again
from collector.batch import Batch
from collector.dead_letters import DeadLetter, keep
from collector.hearing import Heard
from collector.index import Index
from metering.publish import Publisher


class Drain:
    """One queue, taken until it is empty. Without a publisher nothing is sent, and everything stays in the queue."""

    def __init__(
        self, connection: Connection, queue: str, exchange: str | None, index: Index, publisher: Publisher | None
    ) -> None:
        self.connection, self.queue, self.exchange = connection, queue, exchange
        self.index, self.publisher = index, publisher
        self.batch = Batch()

    def heard(self) -> Iterator[Heard]:
        """What became of each. Raises the broker's errors, and `BrokerAway`: what is not acknowledged comes again."""
        with self.connection.channel() as channel:
            while (message := self._next(channel)) is not None:
                heard = self._hear(message)
                yield heard
                if self.batch.full:
                    self._deliver()
            self._deliver()

    def _next(self, channel: Any) -> Message | None:
        got = channel.basic_get(self.queue, no_ack=False)
        message: Message | None = None if got is None else channel.message_to_python(got)
        return message

    def _hear(self, message: Message) -> Heard:
        said_on = str((message.delivery_info or {}).get("exchange") or "")
        exchange = self.exchange or (said_on if said_on in self.index.topics else None)
        body: Any = message.body
        heard = hear_again(body, exchange, self.index)
        letter = None
        if heard.failures:
            letter = DeadLetter(
                body,
                message.content_type or "application/data",
                self.connection.as_uri(),
                exchange or said_on,
                heard.event_type,
                heard.failures,
            )
        self.batch.add(message, heard, letter)
        return heard

    def _deliver(self) -> None:
        batch, self.batch = self.batch, Batch()
        if self.publisher is None or not batch.messages:
            return
        batch.publish(self.publisher)
        batch.publish_events(self.publisher)
        for letter in batch.letters:
            keep(self.publisher.app, letter)
        for message in batch.messages:
            message.ack()
