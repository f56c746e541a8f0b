"""What a payload says, read as numbers, ids and metadata: services write one thing in several ways."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

USER_PREFIX = "metering."  # a user's own key with this prefix is meant for metering
LONGEST_USER_VALUE = 256  # characters


def number(payload: Mapping[str, Any], key: str) -> float | None:
    """The number under a key; None where there is none (absent, null or an empty text).

    Raises ValueError for what is there and is no finite number.
    """
    value = payload.get(key)
    if value is None or value == "":
        log.info("a payload says no %s: no sample of it", key)
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{key} is not a number but a {type(value).__name__}")
    try:
        result = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{key} is not a number: {str(value)[:40]!r}") from None
    if not math.isfinite(result):
        raise ValueError(f"{key} is not finite")
    return result


def text(payload: Mapping[str, Any], key: str) -> str | None:
    """The text under a key; None where there is none, or an empty one. Raises ValueError for anything else."""
    value = payload.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a text but a {type(value).__name__}")
    return value


def resource(payload: Mapping[str, Any], key: str) -> str:
    """The id of what the payload is about. Raises ValueError when it names none."""
    found = text(payload, key)
    if found is None:
        raise ValueError(f"it has no {key}")
    return found


def said(**values: Any) -> dict[str, Any]:
    """Metadata of those values that say something."""
    return {key: value for key, value in values.items() if value}


def user_metadata(tags: Any, taken: Mapping[str, Any]) -> dict[str, Any]:
    """The user's own keys that are meant for metering, in the form in which samples carry them.

    Their prefix is cut, dots become underscores, long texts are cut; keys that are ``taken`` are left
    out. Old nova sends a list here: it says nothing that can be read.
    """
    if not isinstance(tags, Mapping):
        return {}
    meant = (
        (key.removeprefix(USER_PREFIX).replace(".", "_"), value)
        for key, value in tags.items()
        if key.startswith(USER_PREFIX)
    )
    return {
        key: value[:LONGEST_USER_VALUE] if isinstance(value, str) else value for key, value in meant if key not in taken
    }
