"""The services' notifications, recorded: their bus -> a file on disk -> acknowledge.

From queues of its own, ``nephometer-archive.<exchange>``, so that nobody is robbed, and with every notification that an
exchange carries: a meter that is defined later is made of what nobody wanted today.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from threading import Event
from typing import Any

from kombu import Connection, Queue
from kombu import Consumer as QueueConsumer

from collector.archive import Recorded, line_of
from collector.bus import HEARTBEAT, attach, stay_connected
from collector.recorded_files import RecordedFiles
from collector.waiting import Backoff, Every

log = logging.getLogger(__name__)

# Not `#`: a service's exchange carries its calls from process to process as well.
TOPICS = ("notifications.*", "versioned_notifications.*")
PREFETCH = 500  # unacknowledged notifications of each queue
MOST_BYTES = 4 << 20  # of the lines that are written together
LONGEST_WAIT = 0.5  # seconds until the first of them is on disk
ATTACH_EVERY, TELL_EVERY = 30.0, 60.0  # seconds


def queue_of(exchange: str) -> str:
    """The name of the recorder's queue for an exchange."""
    return f"nephometer-archive.{exchange}"


class Recorder:
    """Records one broker until it is told to stop."""

    def __init__(
        self,
        url: str,
        topics: Mapping[str, tuple[str, ...]],
        files: RecordedFiles,
        stop: Event,
        attach_every: float = ATTACH_EVERY,
    ) -> None:
        self.url, self.files, self.stop, self.attach_every = url, files, stop, attach_every
        self.topics = {exchange: (*TOPICS, *more) for exchange, more in topics.items()}
        self.recorded = 0  # notifications, on disk and acknowledged
        self.reading: frozenset[str] = frozenset()

    def run(self) -> None:
        """Record, and connect anew after every fault of the broker; returns when ``stop`` is set."""
        stay_connected(self.url, self.stop, lambda connection: _Session(self, connection).run(), self._lost)

    def _lost(self) -> None:
        self.reading = frozenset()


class _Session:
    """One connection's life. What it had not acknowledged when it ends, its broker delivers again."""

    def __init__(self, recorder: Recorder, connection: Connection) -> None:
        self.recorder, self.connection, self.channel = recorder, connection, connection.channel()
        self.readers: dict[str, QueueConsumer] = {}
        self.missing: dict[str, str] = {}  # exchange -> why it is not read
        self.messages: list[Any] = []
        self.lines: list[bytes] = []
        self.bytes = 0
        self.waited = Every(LONGEST_WAIT)
        self.full_disk = Backoff()
        self.acks_many = connection.transport.driver_type == "amqp"

    def run(self) -> None:
        attaching, beating, telling = Every(self.recorder.attach_every), Every(HEARTBEAT / 12), Every(TELL_EVERY)
        telling.due()
        while not self.recorder.stop.is_set():
            if attaching.due():
                self.attach()
            try:
                self.connection.drain_events(timeout=LONGEST_WAIT)
            except TimeoutError:
                log.debug("nothing came")
            if beating.due() and self.connection.supports_heartbeats:
                self.connection.heartbeat_check()
            if self.full_disk.over and (self.bytes >= MOST_BYTES or self.waited.due()):
                self.write()
            if telling.due():
                log.info("%d notifications recorded", self.recorder.recorded)
        # Nothing is cancelled first: from Redis, a message that was asked for ahead of time would be lost. What is not
        # written yet goes back when the connection closes.
        self.write()

    def attach(self) -> None:
        """Read every exchange that is there; one that is not costs only itself."""
        for exchange, topics in self.recorder.topics.items():
            queue = queue_of(exchange)
            reason = attach(self.connection, exchange, topics, queue)
            if reason is not None:
                if self.missing.get(exchange) != reason:
                    log.warning("%s; trying again every %.0f s", reason, self.recorder.attach_every)
                self.missing[exchange] = reason
            elif exchange not in self.readers:
                self.missing.pop(exchange, None)
                self.readers[exchange] = self.consume(exchange, queue)
                log.info("recording exchange %s from %s", exchange, queue)
        self.recorder.reading = frozenset(self.readers)

    def consume(self, exchange: str, queue: str) -> QueueConsumer:
        take = partial(self.take, exchange)
        reader = QueueConsumer(
            self.channel,
            queues=[Queue(queue, durable=True)],
            no_ack=False,
            auto_declare=False,
            on_message=take,  # the raw message: kombu decodes nothing
            on_decode_error=lambda message, _: take(message),
        )
        reader.qos(prefetch_count=PREFETCH)
        reader.consume()
        return reader

    def take(self, exchange: str, message: Any) -> None:
        key = (message.delivery_info or {}).get("routing_key")
        line = line_of(Recorded(message.body, exchange, key), datetime.now(UTC).isoformat(timespec="microseconds"))
        self.messages.append(message)
        self.lines.append(line)
        self.bytes += len(line)

    def write(self) -> None:
        """Have on disk what was taken, then acknowledge it; a disk that does not take it is tried again later."""
        if not self.messages:
            return
        try:
            self.recorder.files.write(self.lines)
        except OSError as exc:
            seconds = self.full_disk.failed()
            log.error("%s; %d notifications wait, next try in %.0f s", exc, len(self.messages), seconds)
            return
        self.full_disk.worked()
        if self.acks_many:
            self.messages[-1].ack(multiple=True)
        else:
            for message in self.messages:
                message.ack()
        self.recorder.recorded += len(self.messages)
        self.messages, self.lines, self.bytes = [], [], 0
