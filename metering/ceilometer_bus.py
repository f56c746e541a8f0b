"""Stored samples on Ceilometer's own bus, sent as its publishers send them to collectors."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from kombu import Connection, pools

from metering import ceilometer, plain
from metering.environment import Environment
from metering.errors import BrokerAway
from metering.publish import AWAY, CONFIRM_SECONDS
from metering.sifting import Genuine

EXCHANGE, TOPIC = "ceilometer", "metering.sample"
MOST_TOGETHER = 100  # messages in one notification


def publish(genuine: Iterable[Genuine], settings: Environment) -> None:
    """Publish the messages, signed in the original's form. Returns when the broker has confirmed them.

    Raises `BrokerAway`, also when nobody reads there: the queue of the collectors is for Ceilometer to make, with
    flags of its own, and one that we made could be refused to it.
    """
    # What came from there is not sent back: it would come again, without an end.
    ours = (item for item in genuine if not item.signer[0].startswith(ceilometer.SCHEME))
    messages = list(plain.signed_as(ceilometer.SCHEME, ours, settings.ceilometer_secrets))
    if not messages or settings.ceilometer_url is None:
        return
    connection = _connection_to(settings.ceilometer_url)
    try:
        with pools.producers[connection].acquire(block=True, timeout=CONFIRM_SECONDS) as producer:
            for body in _notifications(messages, settings.node):
                _send(producer, body)
    except AWAY as exc:
        where = f"{connection.as_uri()}, exchange {EXCHANGE}, key {TOPIC}"
        raise BrokerAway(f"Ceilometer's bus did not take samples ({where}): {exc}") from exc


def _connection_to(url: str) -> Connection:
    options: dict[str, Any] = {"read_timeout": 30, "write_timeout": 30, "confirm_publish": True}
    return Connection(url, connect_timeout=10, transport_options=options)


def _send(producer: Any, body: str) -> None:
    producer.publish(
        body,
        exchange=EXCHANGE,
        routing_key=TOPIC,
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,  # kept on disk
        mandatory=True,
        retry=True,
        retry_policy={"max_retries": 3, "interval_start": 0.2},
        timeout=CONFIRM_SECONDS,
        confirm_timeout=CONFIRM_SECONDS,
    )


def _notifications(messages: list[dict[str, Any]], node: str) -> Iterator[str]:
    """The messages in envelopes of oslo.messaging, version 2.0."""
    for start in range(0, len(messages), MOST_TOGETHER):
        notification = {
            "message_id": str(uuid.uuid4()),
            "publisher_id": f"telemetry.publisher.{node}",
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
            "priority": "SAMPLE",
            "event_type": "metering",
            "payload": messages[start : start + MOST_TOGETHER],
            "_unique_id": uuid.uuid4().hex,
        }
        # Python's own JSON: whole numbers of any size stay what was signed.
        yield json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(notification)})
