"""Texts and documents as PostgreSQL can hold them: it takes neither a NUL nor half a surrogate pair."""

from __future__ import annotations

from typing import Any


def printable_text(text: str) -> str:
    """The text, with U+FFFD for what cannot be stored."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def printable(value: Any) -> Any:
    """A JSON value with every text in it, keys too, made `printable_text`."""
    if isinstance(value, str):
        return printable_text(value)
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [printable(item) for item in value]
    return value
