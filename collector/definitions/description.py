"""The metadata of a row's samples: made once for all rows that want the same of one notification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collector.definitions.values import Document, one
from collector.notification import Notification
from collector.paths import Value
from collector.payload import without_secrets
from metering.counters import Metadata
from metering.user_metadata import UserMetadata


class Description:
    """What a row keeps of a notification: named fields, or the whole payload where none are named.

    Rows that say the same share one of these, and with it the very object: it is written as text once.
    """

    def __init__(self, metadata: Mapping[str, Any] | None, tags: Any, kept: UserMetadata) -> None:
        """``tags`` is where the user's own metadata is, of which ``kept`` takes what is meant. Raises ValueError."""
        self._fields = None if metadata is None else tuple((key, one(told)) for key, told in metadata.items())
        self._tags: Value | None = None if tags is None else one(tags)
        self._kept = kept
        self._last: tuple[Notification | None, Metadata] = (None, Metadata())

    def of(self, notification: Notification, document: Document) -> Metadata:
        # Both in one name: a thread that comes between makes its own, and never gets another's.
        known, made = self._last
        if known is not notification:
            made = self._make(notification, document)
            self._last = (notification, made)
        return made

    def _make(self, notification: Notification, document: Document) -> Metadata:
        if self._fields is None:
            made = _whole(notification)
        else:
            made = Metadata()
            for key, read in self._fields:
                if value := read(document):
                    made[key] = value
        if self._tags is not None and (tags := self._kept.of(self._tags(document), made)):
            made["user_metadata"] = tags
        return made


def _whole(notification: Notification) -> Metadata:
    payload = notification.payload if isinstance(notification.payload, dict) else {}
    about = {"event_type": notification.event_type, "host": notification.publisher_id}
    return Metadata({**without_secrets(payload), **about})
