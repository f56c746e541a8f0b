"""Metadata as the API has always shown it: one level, all text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def flatten(text: str) -> dict[str, str]:
    """The metadata of this JSON text as one level: ``{a: {b: {c: 1}}}`` becomes ``{"a.b:c": "1"}``.

    Old clients know these names: the first dot or colon of a name is a dot, every other one a colon.
    An empty object leaves no trace.
    """
    return {name.replace(".", ":").replace(":", ".", 1): _text(value) for name, value in _leaves(json.loads(text))}


def _leaves(nested: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in nested.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
