"""Where the next page of a listing begins, as a text that its reader only passes on.

It says nothing that its reader may not know, and opens nothing: each page shows what the caller may see.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from api.errors import invalid_input
from metering.models.paging import Key

_LONGEST = 1_000  # characters
_LARGEST = 2**63


def marker(key: Key) -> str:
    """The text that stands for a place in a listing."""
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def read_marker(text: str | None, kinds: Sequence[type]) -> Key | None:
    """The place that a text stands for; None for no text. Raises a 400 for one that no such listing gave."""
    if text is None:
        return None
    try:
        if len(text) > _LONGEST:
            raise ValueError("it is too long")
        values = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if not isinstance(values, list):
            raise TypeError("it holds no list")
        return tuple(_read(value, kind) for value, kind in zip(values, kinds, strict=True))
    except (ValueError, TypeError, OverflowError, binascii.Error) as exc:
        raise invalid_input("marker", text[:100], "It is not one that this listing gave") from exc


def _read(value: Any, kind: type) -> Any:
    if kind is int:
        if type(value) is not int or not -_LARGEST <= value < _LARGEST:
            raise ValueError("it is no whole number that a row could have")
        return value
    if not isinstance(value, str):
        raise TypeError("it is no text")
    if kind is uuid.UUID:
        return uuid.UUID(value)
    moment = datetime.fromisoformat(value)
    if moment.utcoffset() is None or moment.utcoffset():
        raise ValueError("it is not in UTC")
    return moment
