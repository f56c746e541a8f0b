"""Our own queues on the services' bus.

One durable queue for each exchange, ``nephometer.<exchange>``, bound with the topics that its listeners
want. Never the shared ``notifications.info``: who else reads that would take half of what is ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from threading import Event
from typing import Any

from amqp.exceptions import ChannelError
from kombu import Connection

from collector.waiting import Backoff
from metering import tls

log = logging.getLogger(__name__)

HEARTBEAT = 60  # seconds; longer than a publish to our own broker may block

# Constants: a broker refuses to declare a queue anew with other arguments. The limit is none to speak of: RabbitMQ 4
# drops a message at its twentieth delivery, which a consumer that starts again and again would reach.
_ARGUMENTS = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}

_REFUSED, _MISSING, _DIFFERENT = 403, 404, 406


def connection_to(url: str) -> Connection:
    """A connection to a services' broker, not yet made. A dead one is noticed: by heartbeats and time-outs."""
    if url.startswith("amqp"):
        bare, told = tls.split("METERING_NOTIFICATION_URLS", url)
        options: dict[str, Any] = {"read_timeout": 30, "write_timeout": 30, "confirm_publish": True}
        return Connection(bare, ssl=told or False, heartbeat=HEARTBEAT, connect_timeout=10, transport_options=options)
    return Connection(url, connect_timeout=10)


def stay_connected(url: str, stop: Event, live: Callable[[Connection], None], lost: Callable[[], None]) -> None:
    """Connect, ``live`` on the connection, and connect anew after every fault of its broker; returns when told to stop.

    ``lost`` is called after a fault, and before the next connection.
    """
    connection = connection_to(url)
    faults: tuple[type[BaseException], ...] = (*connection.connection_errors, *connection.channel_errors, OSError)
    backoff = Backoff()
    while not stop.is_set():
        try:
            with connection_to(url) as connection:
                connection.connect()
                backoff.worked()
                log.info("connected to %s", connection.as_uri())
                live(connection)
        except faults as exc:
            lost()
            seconds = backoff.failed()
            log.warning("%s: %s; trying again in %.0f s", connection.as_uri(), exc, seconds)
            stop.wait(seconds)


def queue_of(exchange: str) -> str:
    """The name of our queue for an exchange."""
    return f"nephometer.{exchange}"


def attach(connection: Connection, exchange: str, topics: Iterable[str], queue: str | None = None) -> str | None:
    """Have our queue there and bound to the exchange; None when it is, else why not. Safe to call again."""
    if reason := find_exchange(connection, exchange):
        return reason
    queue = queue or queue_of(exchange)
    code = _ask(connection, lambda channel: _declare_queue(channel, queue))
    if code is not None:
        # Somebody made it with other arguments, or it must be made for us: then that one is ours.
        code = _ask(connection, lambda channel: channel.queue_declare(queue, passive=True))
    if code is not None:
        return f"queue {queue} cannot be declared ({code})"
    code = _ask(connection, lambda channel: _bind(channel, queue, exchange, topics))
    return None if code is None else f"queue {queue} cannot be bound to exchange {exchange} ({code})"


def find_exchange(connection: Connection, exchange: str) -> str | None:
    """Have a service's exchange there; None when it is, else why not.

    Passively first: its flags are the service's business, and declaring it with other ones would be refused. One
    that is missing is made the way oslo.messaging makes it by default, so that nothing said before is missed.
    """
    code = _ask(connection, lambda channel: channel.exchange_declare(exchange, "topic", passive=True))
    if code == _MISSING:
        code = _ask(
            connection,
            lambda channel: channel.exchange_declare(exchange, "topic", durable=False, auto_delete=False),
        )
        if code == _DIFFERENT:
            return None  # its service came in between and made it as it likes
    if code is None:
        return None
    missing = code in (_MISSING, _REFUSED)
    return f"exchange {exchange} {'is missing, and may not be made' if missing else 'cannot be declared'} ({code})"


def _declare_queue(channel: Any, queue: str) -> None:
    channel.queue_declare(queue, durable=True, exclusive=False, auto_delete=False, arguments=_ARGUMENTS)


def _bind(channel: Any, queue: str, exchange: str, topics: Iterable[str]) -> None:
    for topic in topics:
        channel.queue_bind(queue, exchange, routing_key=topic)


def _ask(connection: Connection, question: Callable[[Any], object]) -> int | None:
    """Ask on a channel of its own, which a refusal closes; the code of the refusal, None when it is granted."""
    channel: Any = connection.channel()
    try:
        question(channel)
    except ChannelError as exc:
        log.debug("%s", exc)
        return int(exc.reply_code or 0)
    else:
        return None
    finally:
        channel.close()
