"""Can this process reach the broker, and is anybody at the other end of each queue? No Django."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import amqp.exceptions
import kombu

from metering import tls
from metering.doctor.finding import Finding, good, note, one_line, wrong
from metering.environment import CENTRAL, Environment
from metering.publish import AWAY
from metering.topology import POLL, SAMPLES, SAMPLES_IN, is_redis

SECONDS = 5.0  # for the broker to answer
SHARED = ("notifications.info", "versioned_notifications.info")


def examine(settings: Environment) -> Iterator[Finding]:
    """One connection, closed again; nothing is declared and nothing sent."""
    if settings.broker_url is None:
        yield wrong("broker", "METERING_BROKER_URL is not set", "no order comes and no sample goes")
        return
    connection = _connection("METERING_BROKER_URL", settings.broker_url)
    where = connection.as_uri()  # without its password
    try:
        connection.connect()
    except AWAY as exc:
        yield wrong("broker", f"{where} cannot be reached: {one_line(exc)}", _remedy(exc))
        return
    with connection:
        yield good("broker", f"{where} answers")
        if is_redis(settings.broker_url):
            return  # it knows no exchanges, and does not tell who listens
        for exchange in (SAMPLES_IN, POLL):
            yield from _exchange(connection, exchange)
        yield from _queue(connection, SAMPLES.name, "storage worker", "METERING_ROLE=samples celery …")
        if settings.role in ("compute", CENTRAL):
            name = CENTRAL if settings.role == CENTRAL else settings.node
            queue = f"poll.{name}"
            yield from _queue(connection, queue, "worker", f"METERING_ROLE={settings.role} celery … -Q {queue}")


def examine_services(settings: Environment) -> Iterator[Finding]:
    """The services' brokers: can they be reached, and do notifications pile up that nobody reads?"""
    for url in settings.notification_urls:
        connection = _connection("METERING_NOTIFICATION_URLS", url)
        where = connection.as_uri()  # without its password
        try:
            connection.connect()
        except AWAY as exc:
            remedy = _remedy(exc, "METERING_NOTIFICATION_URLS")
            yield wrong("notifications", f"{where} cannot be reached: {one_line(exc)}", remedy)
            continue
        with connection:
            yield good("notifications", f"{where} answers")
            if not is_redis(url):
                for name in SHARED:
                    yield from _shared(connection, name)


def _shared(connection: kombu.Connection, name: str) -> Iterator[Finding]:
    """A queue that services declare themselves, for whoever may come. We have queues of our own."""
    try:
        with _channel(connection) as channel:
            told = channel.queue_declare(name, passive=True)
    except amqp.exceptions.AMQPError:
        return  # there is none, or it is none of our business
    if told.consumer_count == 0 and told.message_count:
        yield wrong(
            f"queue {name}",
            f"nobody reads it and {told.message_count} notifications wait there: it grows for ever",
            f"let a policy bound it: rabbitmqctl set_policy -p VHOST unread '^{name}$' '{{\"max-length\":10000}}'",
        )


def _connection(setting: str, url: str) -> kombu.Connection:
    bare, told = tls.split(setting, url)
    return kombu.Connection(bare, ssl=told or False, connect_timeout=SECONDS)


def _remedy(exc: Exception, setting: str = "METERING_BROKER_URL") -> str:
    if isinstance(exc, amqp.exceptions.AccessRefused):
        return "the broker refuses this user or password"
    if isinstance(exc, amqp.exceptions.NotAllowed):
        return "this user has no right to that virtual host, or there is none"
    return f"is {setting} right, the broker up, and the network open?"


def _exchange(connection: kombu.Connection, exchange: kombu.Exchange) -> Iterator[Finding]:
    try:
        with _channel(connection) as channel:
            kombu.Exchange(exchange.name, exchange.type, passive=True)(channel).declare()
    except amqp.exceptions.NotFound:
        remedy = "start a storage and a control worker: they make the exchanges"
        yield wrong("broker", f"it has no exchange {exchange.name!r}", remedy)
    except amqp.exceptions.AMQPError as exc:
        yield note("broker", f"the exchange {exchange.name!r} cannot be looked at: {one_line(exc)}")


@contextlib.contextmanager
def _channel(connection: kombu.Connection) -> Iterator[Any]:
    """One for each look: a refusal ends it."""
    channel: Any = connection.channel()
    try:
        yield channel
    finally:
        channel.close()


def _queue(connection: kombu.Connection, name: str, reader: str, command: str) -> Iterator[Finding]:
    label = f"queue {name}"
    try:
        with _channel(connection) as channel:
            told = channel.queue_declare(name, passive=True)
    except amqp.exceptions.NotFound:
        yield wrong(label, "it is not there", f"no {reader} has started: {command}")
        return
    except amqp.exceptions.AMQPError as exc:
        yield note(label, f"it cannot be looked at: {one_line(exc)}")
        return
    waiting = f"{told.message_count} messages wait"
    if told.consumer_count == 0:
        yield wrong(label, f"no {reader} reads it; {waiting}", f"start one: {command}")
    elif name.startswith("poll.") and name != f"poll.{CENTRAL}" and told.consumer_count > 1:
        remedy = "two hosts must not have one METERING_NODE: each would get half of the orders"
        yield wrong(label, f"{told.consumer_count} workers read it", remedy)
    else:
        readers = f"{told.consumer_count} {reader}{'s' if told.consumer_count > 1 else ''}"
        yield good(label, f"read by {readers}; {waiting}")
