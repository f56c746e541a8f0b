"""The consumer: a services' bus -> listeners -> our bus -> acknowledge.

A notification is acknowledged when everything made of it is confirmed by our own broker: its samples, and the
dead letter where something failed. When our broker is away nothing is acknowledged, and the services' broker
stops sending once the prefetch is out: no memory fills, and nothing is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

from kombu import Connection

from collector.batch import MOST_HELD, Batch
from collector.bus import attach, connection_to, queue_of, stay_connected
from collector.dead_letters import DeadLetter, keep
from collector.frames import FrameReader
from collector.hearing import hear, malformed
from collector.index import Index
from collector.reader import Delivery, KombuReader, Reader
from collector.waiting import Backoff, Every
from metering.errors import BrokerAway
from metering.publish import Publisher

log = logging.getLogger(__name__)

PREFETCH = 1_000  # unacknowledged notifications of each queue
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
    unread: int = 0  # nova's, in the form that is not metered
    events: int = 0
    refused: int = 0  # malformed, or a listener failed: kept as dead letters

    def __str__(self) -> str:
        events = f"{self.events} events, " if self.events else ""
        return (
            f"{self.notifications} notifications acknowledged: {self.samples} samples sent, {events}"
            f"{self.unwanted} of types that nobody wants, {self.unread} in the form of nova that is not metered, "
            f"{self.refused} refused"
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
    held: int = 0  # bytes that wait as they came

    def run(self) -> None:
        """Consume, and connect anew after every fault of the services' broker; returns when ``stop`` is set."""
        stay_connected(self.url, self.stop, lambda connection: Session(self, connection).run(), self._lost)

    def _lost(self) -> None:
        self.reading = frozenset()


class Session:
    """One connection's life. What it had not acknowledged when it ends, its broker delivers again."""

    def __init__(self, consumer: Consumer, connection: Connection) -> None:
        self.consumer, self.connection = consumer, connection
        self.publisher, self.index, self.tally = consumer.publisher, consumer.index, consumer.tally
        self.broker = connection.as_uri()  # without its password
        self.batch = Batch()
        self.away = Backoff()  # our own broker
        self.reader = reader_of(connection)
        self.reading: set[str] = set()
        self.missing: dict[str, str] = {}  # exchange -> why it is not read

    def run(self) -> None:
        attaching, beating, telling = Every(self.consumer.attach_every), Every(HEARTBEAT_EVERY), Every(TELL_EVERY)
        telling.due()
        while not self.consumer.stop.is_set():
            if attaching.due():
                self.attach()
            self.take()
            if beating.due() and self.connection.supports_heartbeats:
                self.connection.heartbeat_check()
            if self.batch.wait() == 0.0:
                self.deliver()
            if telling.due():
                self.tell()
        self.finish()

    def attach(self) -> None:
        """Consume from every exchange that is there; one that is not costs only itself."""
        with self.asking() as connection:
            for exchange, topics in self.index.topics.items():
                reason = attach(connection, exchange, topics)
                if reason is not None:
                    if self.missing.get(exchange) != reason:
                        log.warning("%s; trying again every %.0f s", reason, self.consumer.attach_every)
                    self.missing[exchange] = reason
                    continue
                self.missing.pop(exchange, None)
                if exchange not in self.reading:
                    self.reader.consume(exchange)
                    self.reading.add(exchange)
                    log.info("reading %s for exchange %s, keys %s", queue_of(exchange), exchange, ", ".join(topics))
        self.consumer.reading = frozenset(self.reading)

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """A connection for questions. On the one that is read, all that was on its way would be taken in, whatever
        its size, before an answer came.
        """
        if self.connection.transport.driver_type != "amqp":
            yield self.connection
            return
        with connection_to(self.consumer.url) as connection:
            yield connection

    def take(self) -> None:
        """Let the broker hand over what it has, for as long as the batch may wait."""
        if self.batch.held >= MOST_HELD:
            self.consumer.stop.wait(IDLE)  # our broker is away: what the services' still has stays there
            return
        seconds = self.batch.wait()
        for delivery in self.reader.take(IDLE if seconds is None or not self.away.over else seconds):
            self.add(delivery)
            if self.batch.full:
                self.deliver()

    def add(self, delivery: Delivery) -> None:
        exchange = delivery.exchange
        heard = hear(delivery.body, exchange, self.index) if delivery.fault is None else malformed(delivery.fault)
        letter = None
        if heard.failures:
            content_type = delivery.content_type or "application/data"
            letter = DeadLetter(delivery.body, content_type, self.broker, exchange, heard.event_type, heard.failures)
        elif heard.message_id is None:
            if self.index.is_unread(exchange, heard.event_type):
                self.tally.unread += 1
            else:
                self.tally.unwanted += 1
        self.batch.add(delivery.receipt, heard, letter)
        self.consumer.held = self.batch.held

    def deliver(self) -> None:
        """Publish what the batch holds, wait for the confirms, acknowledge; with our broker away, try again later."""
        if not self.away.over:
            return
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
        self.reader.acknowledge(batch.messages)
        self.tally.notifications += len(batch.messages)
        self.batch = Batch()

    def finish(self) -> None:
        """Take no more, deliver what is there once, and leave the rest to whoever comes next."""
        self.reader.cancel()
        if self.batch.messages:
            self.away.worked()  # one last try, however the ones before it went
            self.deliver()
        self.tell()

    def tell(self) -> None:
        if self.tally.notifications:
            log.info("%s", self.tally)


def reader_of(connection: Connection) -> Reader:
    """The fast one for RabbitMQ, kombu's own for any other broker."""
    amqp = connection.transport.driver_type == "amqp"
    return FrameReader(connection, PREFETCH) if amqp else KombuReader(connection, PREFETCH)
