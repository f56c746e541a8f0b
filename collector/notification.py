"""Notification: what a service said on its bus, read once. Listener: who wants to hear it.

The forms that services send (both envelopes, every form of timestamp) are known here only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

import orjson

from metering.counters import Counter, Meter
from metering.errors import BadReading, MalformedNotification

DEFAULT_TOPICS = ("notifications.info",)

LARGEST_BODY = 4 << 20  # bytes; the largest honest ones, bulk creations, stay below one MiB
DEEPEST_BODY = 64  # levels of nesting; what is made of a payload is walked recursively later
LONGEST_NAME = 255  # characters of an event type or a message_id

# Of a context only ids are kept: the rest is roles, addresses and, from some services, a valid token.
CONTEXT_IDS = ("user_id", "user", "project_id", "tenant_id", "tenant", "trustor_user_id", "request_id")
_CONTEXT = "_context_"
_CONTEXT_KEYS = tuple((name, _CONTEXT + name) for name in CONTEXT_IDS)
_SECRET_PARTS = ("token", "password", "secret", "catalog")
# Quotes are escaped inside an envelope; the end may be cut off.
_SECRET_TEXT = re.compile(
    rb'(\\*"_context_[\w.-]*(?:token|password|secret|catalog)[\w.-]*\\*"\s*:\s*\\*")[^"\\]+', re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Notification:
    """One message of a service, about something that happened there."""

    event_type: str
    message_id: str  # the service's own, the same in every delivery
    publisher_id: str  # service and host, as in compute.node-1
    priority: str  # lower case
    timestamp: datetime  # aware, UTC: when the service said it
    payload: Any  # a dict; rarely a list or a text
    context: Mapping[str, str]  # ids only, under the names of CONTEXT_IDS

    @property
    def user_id(self) -> str | None:
        """Who asked for what happened, for payloads that do not say whose it is."""
        return self.context.get("user_id") or self.context.get("user")

    @property
    def project_id(self) -> str | None:
        """The project in which it was asked for; services name it in three ways."""
        ids = self.context
        return ids.get("project_id") or ids.get("tenant_id") or ids.get("tenant")


@runtime_checkable
class Listener(Protocol):
    """A plugin of the namespace ``metering.collector``: plain attributes and one method. It need not inherit from this.

    It may also have ``topics``, the routing keys it listens to; ``notifications.info`` when it has none.
    """

    @property
    def exchange(self) -> str:
        """The service's, as in nova."""
        ...

    @property
    def event_types(self) -> tuple[str, ...]:
        """Exact, or globs of ``*`` and ``?``."""
        ...

    @property
    def meters(self) -> tuple[Meter, ...]:
        """Every meter it may make."""
        ...

    def counters(self, notification: Notification) -> Iterable[Counter | BadReading]:
        """Zero or more readings; whatever it raises costs only what it read itself.

        Where it has several, a `BadReading` in the place of one costs that one only.
        """
        ...


@runtime_checkable
class Relay(Protocol):
    """A listener that makes no counters: it hands on metering messages that somebody else has signed.

    Each is judged by its own signature where samples are stored. It may have ``topics`` as a `Listener` may.
    """

    @property
    def exchange(self) -> str: ...

    @property
    def event_types(self) -> tuple[str, ...]: ...

    @property
    def meters(self) -> tuple[Meter, ...]:
        """Those it is known to hand on; may be empty."""
        ...

    def whole(self, notification: Notification) -> Iterable[str]:
        """The JSON texts of the metering messages; all values are as they came, so that signatures still fit."""
        ...


def decode(body: bytes | str, *, exact: bool = False) -> dict[str, Any]:
    """The message inside a body, out of its envelope (v2) or without one (v1).

    With ``exact`` at half the speed, and with every value that Python's JSON may write: whole numbers beyond 64 bits,
    lone surrogates, NaN. One of those then spoils the signed message it is in, and not those beside it.

    Raises `MalformedNotification`.
    """
    message = _load(body, exact=exact)
    if "oslo.version" in message and "oslo.message" in message:
        _check_version(message["oslo.version"])
        inner = message["oslo.message"]
        if not isinstance(inner, str):
            raise MalformedNotification("oslo.message is not a text")
        message = _load(inner, exact=exact)
    return message


def event_type_of(message: Mapping[str, Any]) -> str:
    """What happened, before anything else is read: most of what comes is for nobody. Raises `MalformedNotification`."""
    return _name(message, "event_type")


def parse(message: Mapping[str, Any]) -> Notification:
    """The notification that a decoded message is. Raises `MalformedNotification`."""
    if "payload" not in message:
        raise MalformedNotification("it has no payload")
    priority = message.get("priority")
    publisher = message.get("publisher_id")
    return Notification(
        event_type=event_type_of(message),
        message_id=_name(message, "message_id"),
        publisher_id=publisher if isinstance(publisher, str) else "",
        priority=priority.lower() if isinstance(priority, str) else "info",
        timestamp=parse_time(message.get("timestamp")),
        payload=message["payload"],
        context=_ids(message),
    )


def parse_time(text: object) -> datetime:
    """A service's time, in UTC: ISO 8601 with T or a space, any zone or none. Raises `MalformedNotification`."""
    if not isinstance(text, str):
        raise MalformedNotification("its timestamp is not a text")
    try:
        moment = datetime.fromisoformat(text.strip())
        # Services that write no zone mean UTC.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise MalformedNotification(f"its timestamp is no time: {text[:40]!r}") from exc


def without_secrets(body: bytes | str) -> bytes | str:
    """The body as it came, unless its context holds a token or the like: then the message without those.

    For what is kept because it could not be used: nobody needs a token to try again.
    """
    try:
        message = decode(body, exact=True)
    except MalformedNotification:
        return _blanked(body)
    clean = {key: value for key, value in message.items() if not _is_secret(key)}
    return body if len(clean) == len(message) else json.dumps(clean).encode()


def _blanked(body: bytes | str) -> bytes | str:
    """What cannot be decoded, with the texts blanked that stand behind such a key."""
    if isinstance(body, str):
        return _SECRET_TEXT.sub(rb"\1", body.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
    return _SECRET_TEXT.sub(rb"\1", body)


def _is_secret(key: str) -> bool:
    return key.startswith(_CONTEXT) and any(part in key.lower() for part in _SECRET_PARTS)


def _load(body: bytes | str, *, exact: bool = False) -> dict[str, Any]:
    if len(body) > LARGEST_BODY:
        raise MalformedNotification(f"its body is larger than {LARGEST_BODY} bytes")
    try:
        # orjson refuses what JSON has not: NaN, lone surrogates, text that is not UTF-8, a thousand levels.
        message = json.loads(body) if exact else orjson.loads(body)
    except (ValueError, RecursionError) as exc:
        raise MalformedNotification(f"its body is not JSON: {exc}") from exc
    if not isinstance(message, dict):
        raise MalformedNotification("its body is not a JSON object")
    # Counting brackets is cheap and never too low: only suspicious bodies are walked.
    opened = body.count("{") + body.count("[") if isinstance(body, str) else body.count(b"{") + body.count(b"[")
    if opened > DEEPEST_BODY:
        _check_depth(message)
    return message


def _check_depth(message: dict[str, Any]) -> None:
    level: list[Any] = [message]
    for _ in range(DEEPEST_BODY):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise MalformedNotification(f"its body is nested more than {DEEPEST_BODY} levels deep")


def _check_version(version: object) -> None:
    """The rule of oslo: the same major number, and no minor that is newer than what we read (2.0)."""
    if version != "2.0":
        raise MalformedNotification(f"its envelope has version {str(version)[:20]!r}; 2.0 is read here")


def _name(message: Mapping[str, Any], field: str) -> str:
    value = message.get(field)
    if not isinstance(value, str) or not value:
        raise MalformedNotification(f"it has no {field}")
    if len(value) > LONGEST_NAME:
        raise MalformedNotification(f"its {field} is longer than {LONGEST_NAME} characters")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise MalformedNotification(f"its {field} holds a lone surrogate")
    return value


def _ids(message: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for name, key in _CONTEXT_KEYS:
        value = message.get(key)
        if value and isinstance(value, str):
            found[name] = value
    return found
