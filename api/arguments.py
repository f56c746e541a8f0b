"""The parameters of a request: of its URL, or of a JSON object in its body."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rest_framework.request import Request

from api.blanks import without_blanks
from api.errors import Fault, invalid_input, unknown_argument

MOST = 2**31 - 1  # rows: more than any answer holds
_TRUE = ("1", "t", "true", "on", "y", "yes")
_FALSE = ("0", "f", "false", "off", "n", "no")


@dataclass(frozen=True, slots=True)
class Arguments:
    """Parameters by name; each may be given several times. ``clauses`` is the body's ``q``, if it has one."""

    texts: Mapping[str, list[str]]
    clauses: list[Any]

    @classmethod
    def of(cls, request: Request, known: Collection[str]) -> Arguments:
        """Those of this request; the body of a POST holds none. Raises a 400 for one that is not ``known``."""
        texts = {name: list(values) for name, values in request.query_params.lists()}
        if getattr(request.accepted_renderer, "format", None) == "html":
            texts = without_blanks(texts)
        clauses = _read_body(request, texts) if request.method == "GET" else []
        for name in texts:
            if name not in known:
                raise unknown_argument(name)
        if clauses and "q.field" not in known:
            raise unknown_argument("q")
        for name, values in texts.items():
            if any("\0" in value for value in values):
                raise invalid_input(name, ascii("".join(values))[1:-1], "It holds a NUL")
        return cls(texts, clauses)

    def all(self, name: str) -> list[str]:
        return self.texts.get(name, [])

    def one(self, name: str) -> str | None:
        """Raises a 400 where it is given more than once."""
        values = self.all(name)
        if len(values) > 1:
            raise invalid_input(name, ", ".join(values), "It may be given only once")
        return values[0] if values else None

    def integer(self, name: str, default: int) -> int:
        text = self.one(name)
        if text is None:
            return default
        try:
            return int(text)
        except ValueError as exc:
            raise invalid_input(name, text, f"unable to convert to int. Error: {exc}") from exc

    def boolean(self, name: str, *, default: bool) -> bool:
        text = self.one(name)
        if text is None:
            return default
        value = read_boolean(text)
        if value is None:
            raise invalid_input(name, text, "unable to convert to bool")
        return value

    def limit(self, default: int) -> int:
        """How many rows to answer with at most."""
        limit = self.integer("limit", default)
        if limit <= 0:
            raise Fault("Limit must be positive")
        return min(limit, MOST)


def read_boolean(text: str) -> bool | None:
    """The truth value that a text names; None when it names none."""
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _read_body(request: Request, texts: dict[str, list[str]]) -> list[Any]:
    """Add the body's parameters to those of the URL; returns its ``q``."""
    if not request.META.get("CONTENT_LENGTH") or request.META["CONTENT_LENGTH"] == "0":
        return []
    given = request.data
    if not isinstance(given, dict):
        raise Fault("The body of the request must be a JSON object")
    clauses = given.get("q") or []
    if not isinstance(clauses, list):
        raise invalid_input("q", clauses, "It must be a list")
    for name, value in given.items():
        if name != "q":
            texts.setdefault(name, []).extend(map(as_text, value if isinstance(value, list) else [value]))
    return clauses


def as_text(value: object) -> str:
    """A JSON value as the text that would stand for it in a URL."""
    return value if isinstance(value, str) else str(value)
