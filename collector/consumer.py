"""The consumer: a services' bus -> listeners -> our bus -> acknowledge.

A notification is acknowledged when everything made of it is confirmed by our own broker: its samples, and the
dead letter where something failed. When our broker is away nothing is acknowledged, and the services' broker
stops sending once the prefetch is out: no memory fills, and nothing is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any

from kombu import Connection, Queue
from kombu import Consumer as QueueConsumer

from collector.batch import Batch
from collector.bus import attach, connection_to, queue_of
from collector.dead_letters import DeadLetter, keep
from collector.hearing import Heard, hear, malformed
from collector.index import Index
from collector.waiting import Backoff, Every
from metering.errors import BrokerAway
from metering.publish import Publisher

log = logging.getLogger(__name__)

PREFETCH = 200  # unacknowledged notifications of each queue
IDLE = 0.5  # seconds after which an idle consumer looks whether it should stop
ATTACH_EVERY = 30.0  # seconds: a missing exchange may have come, and one that was made anew has lost our binding
HEARTBEAT_EVERY = 5.0
TELL_EVERY = 60.0


def consume(urls: Sequence[str], index: Index, publisher: Publisher, stop: Event) -> None:
    """Read all brokers until ``stop`` is set: one thread each, so that one that is away holds up no other."""
    with ThreadPoolExecutor(len(urls), "consumer") as pool:
        consumers = [pool.submit(Consumer(url, index, publisher, stop).run) for url in urls]
        wait(consumers, return_when=FIRST_EXCEPTION)
        stop.set()  # one is broken: a process that reads only some brokers would look healthy
    for consumer in consumers:
        consumer.result()


@dataclass(slots=True)
class Tally:
    """What a consumer did since its start."""

    notifications: int = 0
    samples: int = 0
    unwanted: int = 0  # of an event type that nobody listens to
    events: int = 0
    refused: int = 0  # malformed, or a listener failed: kept as dead letters

    def __str__(self) -> str:
        events = f"{self.events} events, " if self.events else ""
        return (
            f"{self.notifications} notifications acknowledged: {self.samples} samples sent, {events}"
            f"{self.unwanted} of types that nobody wants, {self.refused} refused"
        )


@dataclass(slots=True)
class Consumer:
    """Reads one services' broker until it is told to stop."""

    url: str
    index: Index
    publisher: Publisher
    stop: Event
    attach_every: float = ATTACH_EVERY
    tally: Tally = field(default_factory=Tally)
    reading: frozenset[str] = frozenset()  # the exchanges it listens to at this moment

    def run(self) -> None:
        """Consume, and connect anew after every fault of the services' broker; returns when ``stop`` is set."""
        connection = connection_to(self.url)
        faults: tuple[type[BaseException], ...] = (*connection.connection_errors, *connection.channel_errors, OSError)
        backoff = Backoff()
        while not self.stop.is_set():
            try:
                with connection_to(self.url) as connection:
                    connection.connect()
                    backoff.worked()
                    log.info("connected to %s", connection.as_uri())
                    Session(self, connection).run()
            except faults as exc:
                self.reading = frozenset()
                seconds = backoff.failed()
                log.warning("%s: %s; trying again in %.0f s", connection.as_uri(), exc, seconds)
                self.stop.wait(seconds)


class Session:
    """One connection's life. What it had not acknowledged when it ends, its broker delivers again."""

    def __init__(self, consumer: Consumer, connection: Connection) -> None:
        self.consumer, self.connection = consumer, connection
        self.publisher, self.index, self.tally = consumer.publisher, consumer.index, consumer.tally
        self.batch = Batch()
        self.away = Backoff()  # our own broker
        self.channel = connection.channel()
        self.reading: dict[str, QueueConsumer] = {}
        self.missing: dict[str, str] = {}  # exchange -> why it is not read
        # An AMQP broker takes one acknowledgement for all before it; kombu's Redis knows each message apart.
        self.acks_many = connection.transport.driver_type == "amqp"

    def run(self) -> None:
        attaching, beating, telling = Every(self.consumer.attach_every), Every(HEARTBEAT_EVERY), Every(TELL_EVERY)
        telling.due()
        while not self.consumer.stop.is_set():
            if attaching.due():
                self.attach()
            self.take()
            if beating.due() and self.connection.supports_heartbeats:
                self.connection.heartbeat_check()
            if self.batch.wait() == 0.0 and self.away.over:
                self.deliver()
            if telling.due():
                self.tell()
        self.finish()

    def attach(self) -> None:
        """Consume from every exchange that is there; one that is not costs only itself."""
        for exchange, topics in self.index.topics.items():
            reason = attach(self.connection, exchange, topics)
            if reason is not None:
                if self.missing.get(exchange) != reason:
                    log.warning("%s; trying again every %.0f s", reason, self.consumer.attach_every)
                self.missing[exchange] = reason
                continue
            self.missing.pop(exchange, None)
            if exchange not in self.reading:
                self.reading[exchange] = self.consume(exchange)
                self.consumer.reading = frozenset(self.reading)
                log.info("reading %s for exchange %s, keys %s", queue_of(exchange), exchange, ", ".join(topics))

    def consume(self, exchange: str) -> QueueConsumer:
        reader = QueueConsumer(
            self.channel,
            queues=[Queue(queue_of(exchange), durable=True)],
            no_ack=False,
            auto_declare=False,
            on_message=partial(self.on_message, exchange),  # the raw message: kombu decodes nothing
            on_decode_error=partial(self.on_decode_error, exchange),
        )
        reader.qos(prefetch_count=PREFETCH)
        reader.consume()
        return reader

    def take(self) -> None:
        """Let the broker hand over what it has, for as long as the batch may wait."""
        seconds = self.batch.wait()
        if seconds is None or not self.away.over:
            seconds = IDLE
        elif seconds == 0.0:
            return
        try:
            self.connection.drain_events(timeout=seconds)
        except TimeoutError:
            return  # nothing came

    def on_message(self, exchange: str, message: Any) -> None:
        self.add(exchange, message, hear(message.body, exchange, self.index))

    def on_decode_error(self, exchange: str, message: Any, exc: Exception) -> None:
        """What kombu cannot even unpack (a broken compression) is kept like the rest."""
        self.add(exchange, message, malformed(exc))

    def add(self, exchange: str, message: Any, heard: Heard) -> None:
        letter = None
        if heard.failures:
            content_type = message.content_type or "application/data"
            broker = self.connection.as_uri()
            letter = DeadLetter(message.body, content_type, broker, exchange, heard.event_type, heard.failures)
        if heard.message_id is None and letter is None:
            self.tally.unwanted += 1
        self.batch.add(message, heard, letter)

    def deliver(self) -> None:
        """Publish what the batch holds, wait for the confirms, acknowledge; with our broker away, try again later."""
        batch = self.batch
        try:
            self.tally.samples += batch.publish(self.publisher)
            self.tally.events += batch.publish_events(self.publisher)
            while batch.letters:
                keep(self.publisher.app, batch.letters[0])
                batch.letters.pop(0)
                self.tally.refused += 1
        except BrokerAway as exc:
            seconds = self.away.failed()
            log.warning("%s; %d notifications wait, next try in %.0f s", exc, len(batch.messages), seconds)
            return
        self.away.worked()
        self.acknowledge()
        self.batch = Batch()

    def acknowledge(self) -> None:
        messages = self.batch.messages
        if self.acks_many:
            messages[-1].ack(multiple=True)
        else:
            for message in messages:
                message.ack()
        self.tally.notifications += len(messages)

    def finish(self) -> None:
        """Take no more, deliver what is there once, and leave the rest to whoever comes next."""
        for reader in self.reading.values():
            reader.cancel()
        if self.batch.messages:
            self.deliver()
        self.tell()

    def tell(self) -> None:
        if self.tally.notifications:
            log.info("%s", self.tally)
