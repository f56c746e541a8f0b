"""An answer as a table: rows and cells, with links to what they name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.urls import NoReverseMatch, reverse

_LONG = 60  # characters; shorter texts stand in one line
# A field of an answer -> the route that shows it, and what the route calls it.
_LINKS = {
    "resource_id": ("resource", "resource_id"),
    "meter": ("meter", "name"),
    "counter_name": ("meter", "name"),
    "id": ("sample", "message_id"),
}
_BY_ROUTE = {  # the same for fields whose meaning the route tells
    ("meters", "name"): ("meter", "name"),
    ("meter", "message_id"): ("sample", "message_id"),
    ("events", "message_id"): ("event", "message_id"),
    ("event_types", ""): ("event_traits", "event_type"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, perhaps with an address; or the parts of an object or a list."""

    text: str = ""
    href: str = ""
    parts: tuple[tuple[str, Cell], ...] = ()
    is_number: bool = False

    @property
    def is_long(self) -> bool:
        return len(self.text) > _LONG


@dataclass(frozen=True, slots=True)
class Table:
    """``columns`` are the fields of the rows, in their order; one unnamed column where the rows are plain values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def table_of(answer: Any, route: str) -> Table:
    """Of a list each item is a row; of one object each field."""
    if isinstance(answer, list):
        if any(not isinstance(item, dict) for item in answer):
            return Table(("",), tuple((_cell("", item, route),) for item in answer))
        columns = tuple(dict.fromkeys(name for item in answer for name in item))
        return Table(columns, tuple(tuple(_cell(name, item.get(name), route) for name in columns) for item in answer))
    if isinstance(answer, dict):
        return Table(("", " "), tuple((Cell(name), _cell(name, value, route)) for name, value in answer.items()))
    return Table(("",), ((_cell("", answer, route),),))


def _cell(name: str, value: Any, route: str) -> Cell:
    if isinstance(value, dict):
        if set(value) == {"href", "rel"}:
            return Cell(str(value["rel"]), _safe(str(value["href"])))
        return Cell(parts=tuple((key, _cell("", inner, "")) for key, inner in value.items()))
    if isinstance(value, list):
        return Cell(parts=tuple(("", _cell("", inner, "")) for inner in value))
    text = value if isinstance(value, str) else "–" if value is None else json.dumps(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(text, _address(name, value, route) if isinstance(value, str) else "", is_number=is_number)


def _safe(href: str) -> str:
    """An address that is followed by a click is one of ours or of the web, never a script."""
    return href if href.startswith(("http://", "https://", "/")) else ""


def _address(name: str, value: str, route: str) -> str:
    found = _BY_ROUTE.get((route, name)) or _LINKS.get(name)
    if found is None or not value:
        return ""
    view, argument = found
    try:
        place = reverse(view, kwargs={argument: "x"})
    except NoReverseMatch:
        return ""
    end = "/" if view == "resource" and value.endswith("/") else ""
    return place.replace("/x", "/" + quote(value, safe=""), 1) + end
