"""What a payload says, read as numbers, ids and metadata: services write one thing in several ways."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_SECRET_PARTS = ("token", "password", "passwd", "secret", "psk", "credential", "private_key", "authorization")


def number(value: Any, label: str) -> float | None:
    """A number, also one written as text; None where there is none (null or an empty text).

    Raises ValueError, which names the field by its ``label``, for what is there and is no finite number.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{label} is not a number but a {type(value).__name__}")
    try:
        result = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{label} is not a number: {str(value)[:40]!r}") from None
    if not math.isfinite(result):
        raise ValueError(f"{label} is not finite")
    return result


def text(value: Any, label: str) -> str | None:
    """A text; None where there is none, or an empty one. Raises ValueError for anything else."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError(f"{label} is not a text but a {type(value).__name__}")
    return value


def resource(value: Any, label: str) -> str:
    """The id of what the payload is about. Raises ValueError when it names none."""
    found = text(value, label)
    if found is None:
        raise ValueError(f"it has no {label}")
    return found


def mapping(value: Any, label: str) -> Mapping[str, Any]:
    """An object, in which keys can be looked for. Raises ValueError for anything else."""
    if not isinstance(value, dict):
        raise ValueError(f"{label} is not an object but a {type(value).__name__}")
    return value


def said(**values: Any) -> dict[str, Any]:
    """Metadata of those values that say something."""
    return {key: value for key, value in values.items() if value}


def without_secrets(value: Any) -> Any:
    """A part of a payload without whatever lets one in somewhere: what is kept whole may hold a token or a key."""
    if isinstance(value, dict):
        return {key: without_secrets(inner) for key, inner in value.items() if not is_secret(key)}
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return value


@lru_cache(maxsize=4_096)  # services have few names for fields; a flood of made-up ones must not fill the memory
def is_secret(key: str) -> bool:
    """Whether a field's name says that what it holds is not for others."""
    return any(part in key.lower() for part in _SECRET_PARTS)
