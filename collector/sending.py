"""A notification, put on a bus the way a service does: topic exchange, key ``notifications.info``, v2 envelope."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from amqp.exceptions import AMQPError
from kombu import Connection
from kombu.exceptions import KombuError, OperationalError

from collector.bus import find_exchange
from collector.notification import DEFAULT_TOPICS
from metering.errors import BrokerAway
from metering.publish import CONFIRM_SECONDS

NO_ROUTE = 312


def completed(message: Mapping[str, Any], *, now: bool = False) -> dict[str, Any]:
    """The message with what a service's notifier would have added; with ``now`` as one that is sent only now."""
    stamped = {
        "message_id": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    added = {"publisher_id": "nephometer.send_notification", "priority": "INFO", "_unique_id": uuid.uuid4().hex}
    return {**added, **stamped, **message, **(stamped if now else {})}


def send(connection: Connection, exchange: str, message: Mapping[str, Any]) -> None:
    """Send one notification; returns when a queue has it. Raises `BrokerAway` when none does."""
    envelope = {"oslo.version": "2.0", "oslo.message": orjson.dumps(message).decode()}
    try:
        _require_a_reader(connection, exchange)
        connection.Producer(auto_declare=False).publish(
            orjson.dumps(envelope),
            exchange=exchange,
            routing_key=DEFAULT_TOPICS[0],
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,  # kept on disk
            mandatory=True,  # or the broker would confirm and drop what nobody listens to
            timeout=CONFIRM_SECONDS,
            confirm_timeout=CONFIRM_SECONDS,
        )
    except (OperationalError, KombuError, AMQPError, OSError) as exc:
        if getattr(exc, "reply_code", None) == NO_ROUTE:
            raise BrokerAway(_nobody(exchange)) from exc
        raise BrokerAway(f"{connection.as_uri()}: {exc}") from exc


def _require_a_reader(connection: Connection, exchange: str) -> None:
    """Redis drops what nobody listens to without a word, and each of its clients must declare an exchange anew."""
    if reason := find_exchange(connection, exchange):
        raise BrokerAway(reason)
    channel: Any = connection.default_channel
    if connection.transport.driver_type == "redis" and not channel.get_table(exchange):
        raise BrokerAway(_nobody(exchange))


def _nobody(exchange: str) -> str:
    return f"no queue listens to exchange {exchange}: start collect_notifications once, then it waits for notifications"
