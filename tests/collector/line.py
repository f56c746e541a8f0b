"""The consumer between two brokers, as the tests see it: what services say in, what our bus gets out."""

from __future__ import annotations

import contextlib
import json
import runpy
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from celery import Celery
from kombu import Connection, Queue, pools

from collector.bus import connection_to, queue_of
from collector.consumer import Consumer
from collector.index import Index, subscribe
from collector.notification import Listener, Notification
from collector.sending import send
from metering import messages, topology
from metering.counters import Counter
from metering.errors import BadReading
from metering.publish import Publisher
from metering.signing import Signer
from tests.collector.bodies import recorded
from tests.collector.rows import SHIPPED, fits

T = TypeVar("T")
PROJECT_ROOT = Path(__file__).parent.parent.parent
SIGNER = Signer("consumer/test", "k1", b"a key of thirty-two bytes or more")


class Together:
    """Shipped rows as one listener: enough of an installation for a test of what carries their samples."""

    def __init__(self, *names: str) -> None:
        self._rows: list[Listener] = [SHIPPED[name] for name in names]
        self.exchange = self._rows[0].exchange
        self.event_types = tuple(dict.fromkeys(wanted for row in self._rows for wanted in row.event_types))
        self.meters = tuple(meter for row in self._rows for meter in row.meters)

    def counters(self, notification: Notification) -> Iterator[Counter | BadReading]:
        for row in self._rows:
            if any(fits(wanted, notification.event_type) for wanted in row.event_types):
                yield from row.counters(notification)


LISTENERS: dict[str, Listener] = {
    "image": Together("glance.image.size", "glance.image.download", "glance.image.serve"),
    "instance": Together(
        "nova.instance",
        "nova.memory",
        "nova.vcpus",
        "nova.disk.root.size",
        "nova.disk.ephemeral.size",
        "nova.compute.instance.booting.time",
    ),
    "volume": Together("cinder.volume", "cinder.volume.size"),
}


def index_of(**listeners: Any) -> Index:
    return Index(subscribe(name, listener) for name, listener in (listeners or LISTENERS).items())


def eventually(ask: Callable[[], T], seconds: float = 10.0) -> T:
    """What it answers once that is true; what it answered last when the time is over."""
    end = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < end:
        time.sleep(0.05)
    return answer


def channel_of(connection: Connection) -> Any:
    """A channel of a connection, with what kombu's types do not tell of it."""
    return connection.channel()


def bytes_of(message: Any) -> bytes:
    """A message's body: kombu gives text where it was told an encoding."""
    return message.body if isinstance(message.body, bytes) else message.body.encode()


def reads(running: Running, *exchanges: str, seconds: float = 10.0) -> bool:
    """Wait until it listens: what was said before was for nobody."""
    return eventually(lambda: running.consumer.reading >= set(exchanges), seconds)


def volumes(count: int, start: int = 0) -> list[dict[str, Any]]:
    """So many notifications, each of a volume of its own; two samples each."""
    return [
        recorded("volume.exists", volume_id=f"v-{number}") | {"message_id": f"m-{number}"}
        for number in range(start, start + count)
    ]


@contextlib.contextmanager
def celery_app(url: str) -> Iterator[Celery]:
    """An application as ours is configured, on another broker."""
    with mock.patch.dict("os.environ", {"METERING_BROKER_URL": url}):
        values = runpy.run_path(str(PROJECT_ROOT / "celeryconfig.py"))
    app = Celery("collector-tests", set_as_current=False)
    app.conf.update({name: value for name, value in values.items() if name.islower() and not name.startswith("_")})
    try:
        yield app
    finally:
        connection = app.connection_for_write()
        app.close()
        for group in (pools.producers, pools.connections):  # the process's, by URL: a closed one would be found again
            group[connection].force_close_all()
            del group[connection]


class OurBus:
    """Our own broker, from the far side: what arrived there."""

    def __init__(self, url: str) -> None:
        self.url = url

    def listen(self) -> None:
        """Have the queues there that take samples and dead letters."""
        with Connection(self.url) as connection:
            for queue in (topology.SAMPLES, topology.DEAD):
                queue(connection.default_channel).declare()

    def forget(self) -> None:
        with Connection(self.url) as connection:
            for queue in (topology.SAMPLES, topology.DEAD):
                queue(connection.default_channel).delete()

    def samples(self) -> list[dict[str, Any]]:
        """The metering messages that came since the last time."""
        return [sample for batch in self.batches() for sample in batch]

    def batches(self) -> list[list[dict[str, Any]]]:
        """The same, batch by batch."""
        return [list(messages.unpack(json.loads(message.body)[0][0])) for message in self._drain(topology.SAMPLES)]

    def dead(self) -> list[Any]:
        return self._drain(topology.DEAD)

    def _drain(self, queue: Queue) -> list[Any]:
        found = []
        with Connection(self.url) as connection:
            bound = queue(connection.default_channel)
            while message := bound.get(no_ack=True):
                found.append(message)
        return found


class Services:
    """A services' broker, and services that say something there."""

    def __init__(self, url: str) -> None:
        self.url = url

    def say(self, exchange: str, *bodies: Any) -> None:
        """Send messages in their envelope."""
        with connection_to(self.url) as connection:
            for message in bodies:
                send(connection, exchange, message)

    def say_raw(self, exchange: str, body: bytes | str, **properties: Any) -> None:
        with Connection(self.url) as connection:
            producer = connection.Producer(auto_declare=False)
            channel_of(connection).exchange_declare(exchange, "topic", durable=False, auto_delete=False)
            content = {"content_type": "application/json", "content_encoding": "binary"} | properties
            producer.publish(body, exchange=exchange, routing_key="notifications.info", **content)

    def waiting(self, exchange: str) -> int:
        """How many notifications our queue holds that nobody has in hand."""
        with Connection(self.url) as connection:
            known = connection.transport.driver_type == "amqp"  # Redis keeps no empty queue that could be asked for
            return int(channel_of(connection).queue_declare(queue_of(exchange), passive=known).message_count)

    def forget(self, exchanges: Iterable[str]) -> None:
        with Connection(self.url) as connection:
            for exchange in exchanges:
                channel_of(connection).queue_delete(queue_of(exchange))
                channel_of(connection).exchange_delete(exchange)
            channel_of(connection).queue_delete("notifications.info")  # oslo.messaging's own, with its flags


class Running:
    """A consumer at work in a thread."""

    def __init__(self, url: str, app: Celery, index: Index, attach_every: float = 0.5) -> None:
        self.stop = threading.Event()
        self.consumer = Consumer(url, index, Publisher(app, SIGNER, "openstack"), self.stop, attach_every)
        self.thread = threading.Thread(target=self.consumer.run)
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()

    @property
    def held(self) -> int:
        """Bytes of bodies that wait for our broker."""
        return self.consumer.held

    @property
    def acknowledged(self) -> int:
        return self.consumer.tally.notifications
