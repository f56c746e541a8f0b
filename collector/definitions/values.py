"""What a definition says of one field of a sample, as a function of a notification's document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collector import paths
from collector.definitions import conversions
from collector.notification import Notification
from collector.paths import Value, Values

Document = dict[str, Any]

_last: tuple[Notification | None, Document] = (None, {})


def document_of(notification: Notification) -> Document:
    """What paths lead through. All rows that hear one notification get the same.

    Of the context there are ids only, as everywhere. One name holds both the notification and its document: threads
    that take turns make a document once more, and never get another's.
    """
    global _last  # noqa: PLW0603 # one consumer asks for one notification after the other
    known, document = _last
    if known is not notification:
        document = {
            "event_type": notification.event_type,
            "publisher_id": notification.publisher_id,
            "priority": notification.priority,
            "payload": notification.payload,
            "ctxt": notification.context,
            "metadata": {"message_id": notification.message_id, "timestamp": notification.timestamp.isoformat()},
        }
        _last = (notification, document)
    return document


def is_path(told: Any) -> bool:
    """Whether a text, where there may be either, is a path and not the thing itself."""
    return isinstance(told, str) and "$" in told


def one(told: Any) -> Value:
    """One value, or None: of a path, of the first of several that leads to something, a conversion, or a constant.

    Raises ValueError (`BadPath` is one) for what can be none of these.
    """
    if isinstance(told, list):
        return _first_of([one(part) for part in told])
    if isinstance(told, dict):
        fields = _fields(told)
        readers = [one(field) for field in fields]
        if "plugin" not in told:
            return _first_of(readers)
        convert = conversions.make(told["plugin"], fields)
        return lambda document: convert([read(document) for read in readers])
    if isinstance(told, str):
        return paths.first(_path(told))
    return lambda _: told


def every(told: Any) -> Values:
    """All values, for a field of which one notification has several. Raises as `one` does."""
    if isinstance(told, list):
        lists = [every(part) for part in told]
        return lambda document: next((found for found in (read(document) for read in lists) if found), [])
    if isinstance(told, dict):
        fields = _fields(told)
        lists = [every(field) for field in fields]
        if "plugin" not in told:
            return every(fields)
        convert = conversions.make(told["plugin"], fields)
        return lambda document: [convert(row) for row in zip(*(read(document) for read in lists), strict=False)]
    if isinstance(told, str):
        return paths.accessor(_path(told))
    return lambda _: [told]


def leads_to_several(told: Any) -> bool:
    """Whether one notification may have more than one value of this."""
    if isinstance(told, str):
        return is_path(told) and ("[*]" in told or ".*" in told or ".." in told)
    parts = told if isinstance(told, list) else _fields(told) if isinstance(told, dict) else []
    return any(leads_to_several(part) for part in parts)


def _fields(told: dict[str, Any]) -> list[str]:
    fields = told["fields"]
    return [fields] if isinstance(fields, str) else list(fields)


def _path(told: str) -> str:
    if not is_path(told):
        raise ValueError(f"{told[:100]!r} is no path: one begins with $, the notification")
    return told


def _first_of(readers: Sequence[Value]) -> Value:
    def value(document: Any) -> Any:
        for read in readers:
            found = read(document)
            if found is not None and found != "":
                return found
        return None

    return value
