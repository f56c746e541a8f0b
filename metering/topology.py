"""Exchanges and queues, declared once for RabbitMQ and Redis. Pure Python.

Exchanges are cut by right: who may write to one can do nothing but what is read from it. Arguments of a
queue never depend on a setting, because a broker refuses to declare a queue anew with other ones.
"""

from __future__ import annotations

from typing import Any

from kombu import Exchange, Queue

SAMPLES_IN = Exchange("samples-in", "topic")  # nodes, consumers and the API write batches
POLL = Exchange("poll", "direct")  # control writes orders, key = node
CONTROL = Exchange("control", "topic")  # beat and the API write
METERING = Exchange("metering", "topic")  # storage workers write plain messages, key = metering.<meter>
DLX = Exchange("dlx", "topic")  # the broker and the consumers put what could not be used
EXCHANGES = (SAMPLES_IN, POLL, CONTROL, METERING, DLX)

_LEDGER: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-dead-letter-exchange": DLX.name,
    "x-dead-letter-strategy": "at-least-once",  # the default may lose the dead letter; this one needs the next line
    "x-overflow": "reject-publish",  # a full queue refuses, so that the publisher keeps what it has
    "x-delivery-limit": 20,  # a batch that kills its worker time and again ends as a dead letter
}
SAMPLES = Queue("samples", SAMPLES_IN, routing_key="samples", queue_arguments=_LEDGER)
CONTROL_QUEUE = Queue("control", CONTROL, routing_key="control", queue_arguments=_LEDGER)
# Dead letters keep their first routing key, so this one is bound to all of them. RabbitMQ 4 drops a message at its
# 20th delivery where nothing is said; nobody is behind this queue to take what it drops.
DEAD = Queue("dead", DLX, routing_key="#", queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": 1_000_000})


def poll_queue(node: str, *, declares: bool) -> Queue:
    """Where a node gets its orders: disposable, so classic, bounded, and gone half an hour after its worker.

    With ``declares`` the node makes the exchange as well. On RabbitMQ it must not: who may declare an exchange
    may delete it, and every node's orders go through this one.
    """
    return Queue(
        f"poll.{node}",
        Exchange(POLL.name, POLL.type, no_declare=not declares),
        routing_key=node,
        queue_arguments={"x-expires": 30 * 60 * 1000, "x-max-length": 100},
    )


def is_redis(url: str) -> bool:
    """Whether this broker is Redis, which knows no exchanges of its own: each publisher must declare them."""
    return url.startswith("redis")
