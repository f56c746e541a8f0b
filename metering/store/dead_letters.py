"""From the queue ``dead`` into quarantine: one at a time, acknowledged after its row is committed."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection, transaction
from kombu import Connection, Message

from metering.publish import RECORD_SAMPLES
from metering.store import quarantine
from metering.store.quarantine import Kept
from metering.topology import DEAD

MOST_AT_ONCE = 10_000  # a flood is drained in several runs
_ONE_AT_A_TIME = 0x6E6570686F01  # advisory lock: two drains take turns


def drain(broker: Connection, most: int = MOST_AT_ONCE) -> int:
    """Quarantine what is in ``dead``; how many. What cannot be stored now stays in the queue."""
    DEAD(broker.default_channel).declare()
    for drained in range(most):
        # The database first: a letter that is taken and given back too often is gone (its queue's delivery limit).
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
            message = _next(broker)
            if message is not None:
                quarantine.keep_all(cursor, [kept(message)])
        if message is None:
            return drained
        message.ack()
    return most


def _next(broker: Connection) -> Message | None:
    """The oldest dead letter as it is: kombu's own ``get`` raises for one whose headers do not fit its body."""
    channel: Any = broker.default_channel
    got = channel.basic_get(DEAD.name, no_ack=False)
    letter: Message | None = None if got is None else channel.message_to_python(got)
    return letter


def kept(message: Message) -> Kept:
    """A dead letter as quarantine keeps it: a notification, a batch, or whatever else it was."""
    headers: dict[str, Any] = dict(message.headers or {})
    info: dict[str, Any] = dict(message.delivery_info or {})
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode("utf-8", "surrogatepass")
    died = _first(headers.get("x-death"))
    details: dict[str, Any] = {
        "exchange": str(headers.get("exchange") or died.get("exchange") or info.get("exchange")),
        "routing_key": str(info.get("routing_key")),
        "content_type": str(message.content_type),
    }
    if info.get("routing_key") == "notification":
        details |= {name: str(headers.get(name)) for name in ("event_type", "traceback", "broker") if headers.get(name)}
        return Kept("notification", body, str(headers.get("reason") or "unknown"), details=details)
    reason = f"dead letter: {headers.get('x-first-death-reason') or died.get('reason') or 'unknown'}"
    details["task"] = str(headers.get("task"))[:200]
    batch = _batch(body) if headers.get("task") == RECORD_SAMPLES else None
    return Kept("batch", batch, reason, details=details) if batch else Kept("message", body, reason, details=details)


def _first(deaths: object) -> dict[str, Any]:
    """The broker's last account of a death; whoever may write to the exchange may have put anything there."""
    found = deaths[0] if isinstance(deaths, list) and deaths else None
    return found if isinstance(found, dict) else {}


def _batch(body: bytes) -> bytes | None:
    """The batch's text in a task message: the body that the worker kept, too, so that it is one row."""
    try:
        [text], _, _ = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return None
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else None
