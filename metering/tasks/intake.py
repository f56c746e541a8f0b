"""What comes off our queues is not trusted, and nothing of it may vanish.

Celery's headers are not signed: whoever may write to ``samples-in`` could name another task, or carry a
``link``, ``chain`` or ``chord`` that the worker would publish with its own rights.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from celery import Task
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from django.db import connection
from kombu import Message

from metering import environment
from metering.environment import Environment
from metering.store import quarantine
from metering.store.quarantine import Kept

log = logging.getLogger(__name__)


@cache
def settings() -> Environment:
    """What the worker was told, read once."""
    return environment.load(os.environ)


def keeping_folder() -> Path:
    """Where this process keeps what was refused while the database is away."""
    return settings().spool_dir / "quarantine"


class PlainRequest(Request):
    """A request of which only task, id and arguments count; anything else that a message asks for is dropped.

    Gone are link, errbacks, chain and chord (in the body), reply_to, time limits, eta, expiry and stamps
    (in the headers).
    """

    # What the published types of Celery's class leave out.
    _request_dict: dict[str, Any]
    _args: list[Any]
    _kwargs: dict[str, Any]

    def __init__(self, message: Message, **options: Any) -> None:
        headers = options.get("headers") or message.headers
        options["headers"] = {name: headers[name] for name in ("id", "task", "lang") if name in headers}
        super().__init__(message, **options)
        self._request_dict.update(reply_to=None, retries=0, properties={})
        self._body = orjson.dumps((self._args, self._kwargs, {}))
        self._content_type, self._content_encoding = "application/json", "utf-8"


class KeepingConsumer(Consumer):
    """Keeps what Celery would acknowledge or reject without a trace: on Redis a rejected message is gone."""

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        self._keep(message, f"it cannot be decoded: {exc}")

    def on_unknown_message(self, body: Any, message: Message) -> None:
        self._keep(message, "it is no task message")

    def on_unknown_task(self, body: Any, message: Message, exc: Exception) -> None:
        self._keep(message, f"this worker runs no task {str((message.headers or {}).get('task'))[:200]!r}")

    def on_invalid_task(self, body: Any, message: Message, exc: Exception) -> None:
        self._keep(message, f"its task message is invalid: {exc}")

    def _keep(self, message: Message, reason: str) -> None:
        log.error("a message on %s was refused: %s", message.delivery_info.get("routing_key"), reason)
        body = message.body if isinstance(message.body, bytes) else str(message.body).encode("utf-8", "surrogatepass")
        quarantine.keep(Kept("message", body, reason, details=_details(message)), keeping_folder())
        connection.close()  # this is the parent: its children must not inherit a connection
        message.ack_log_error(log, self.connection_errors)  # type: ignore[attr-defined] # missing in the types


class LedgerTask(Task):  # type: ignore[type-arg] # Celery's own class is not generic at run time
    """A task whose failing message is kept before it is rejected, on brokers with and without dead letters."""

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        text = args[0] if len(args) == 1 and isinstance(args[0], str) else None
        kind, body = ("batch", text.encode("utf-8", "surrogatepass")) if text else ("message", _bytes([args, kwargs]))
        details = {"task": self.name, "traceback": str(einfo.traceback)[-4_000:] if einfo else ""}
        quarantine.keep(Kept(kind, body, f"{type(exc).__name__}: {exc}", details=details), keeping_folder())
        connection.close()  # after a time limit this runs in the parent, whose children must not inherit one


def _bytes(value: Any) -> bytes:
    return orjson.dumps(value, default=repr)


def _details(message: Message) -> dict[str, Any]:
    info = message.delivery_info or {}
    return {
        "exchange": str(info.get("exchange")),
        "routing_key": str(info.get("routing_key")),
        "content_type": str(message.content_type),
        "task": str((message.headers or {}).get("task"))[:200],
    }
