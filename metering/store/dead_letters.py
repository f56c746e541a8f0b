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
_ONE_AT_A_TIME = 0x6E6570686F01  # advisory lock: a drain that is still running is left alone


def drain(broker: Connection, most: int = MOST_AT_ONCE) -> int:
    """Quarantine what is in ``dead``; how many. What cannot be stored now stays in the queue."""
    queue = DEAD(broker.default_channel)
    queue.declare()
    for drained in range(most):
        message = queue.get(no_ack=False, accept=None)
        if message is None:
            return drained
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
            quarantine.keep_all(cursor, [kept(message)])
        message.ack()
    return most


def kept(message: Message) -> Kept:
    """A dead letter as quarantine keeps it: a notification, a batch, or whatever else it was."""
    headers: dict[str, Any] = dict(message.headers or {})
    info: dict[str, Any] = dict(message.delivery_info or {})
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode("utf-8", "surrogatepass")
    died: dict[str, Any] = (headers.get("x-death") or [{}])[0]
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


def _batch(body: bytes) -> bytes | None:
    """The batch's text in a task message: the body that the worker kept, too, so that it is one row."""
    try:
        [text], _, _ = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return None
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else None
