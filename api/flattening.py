"""Metadata as the API has always shown it: one level, all text."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any


def flatten(text: str) -> dict[str, str]:
    """The metadata of this JSON text as one level: ``{a: {b: {c: 1}}}`` becomes ``{"a.b:c": "1"}``.

    Old clients know these names: the first dot or colon of a name is a dot, every other one a colon.
    An empty object leaves no trace.
    """
    return {name.replace(".", ":").replace(":", ".", 1): _text(value) for name, value in _leaves(json.loads(text))}


def restore(flat: dict[str, Any]) -> dict[str, Any]:
    """Metadata as it was before its names were joined: ``{"a.b": 1}`` becomes ``{a: {b: 1}}``.

    Where that place is taken a dotted name stays as it is: nothing is lost.
    """
    nested = copy.deepcopy({name: value for name, value in flat.items() if "." not in name})
    for name, value in flat.items():
        if "." in name:
            *outer, last = name.split(".")
            level = _level(nested, outer)
            if level is None or last in level:
                nested[name] = value
            else:
                level[last] = value
    return nested


def _level(nested: dict[str, Any], names: list[str]) -> dict[str, Any] | None:
    """The object that these names lead to, made where it is missing; None where something else is there."""
    for name in names:
        nested = nested.setdefault(name, {})
        if not isinstance(nested, dict):
            return None
    return nested


def _leaves(nested: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in nested.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
