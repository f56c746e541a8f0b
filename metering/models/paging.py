"""A part of a listing, and where the rest of it begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from django.db.models import QuerySet

Row = TypeVar("Row")
Key = tuple[Any, ...]  # what a listing is ordered by, of its last row so far


class Page(NamedTuple, Generic[Row]):
    """Some rows of a listing, in its order."""

    rows: list[Row]
    next: Key | None  # after which the next page begins; None: there is none


def cut(found: QuerySet[Any, Row], limit: int | None, key: Callable[[Row], Key]) -> Page[Row]:
    """The first ``limit`` rows, or all. One row more is read, to know whether there is another."""
    rows = list(found if limit is None else found[: limit + 1])
    if limit is None or len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], key(rows[limit - 1]))
