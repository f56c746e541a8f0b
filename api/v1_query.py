"""The parameters of ``/v1``: a span of time, and metadata that are compared as text."""

from __future__ import annotations

from datetime import datetime, timedelta

from rest_framework.request import Request

from api.arguments import Arguments
from api.errors import Fault, invalid_input
from api.filters import DEEPEST, read_timestamp
from metering.models.questions import Question, Scalar, Window

METADATA = "metadata."
KNOWN = frozenset({"start_timestamp", "end_timestamp", "search_offset", "limit"})
MOST_ROWS = 10_000  # of an answer; more of them are refused, because these clients know of no limit


def read_v1_query(request: Request, equal: dict[str, str | None]) -> tuple[Question, int | None]:
    """What is asked, and the limit if one is said. Raises a 400 with the reason."""
    keys = [name for name in request.query_params if name.startswith(METADATA)]
    arguments = Arguments.of(request, KNOWN.union(keys))
    metadata: dict[str, Scalar] = {}
    for name in keys:
        if name.count(".") > DEEPEST:
            raise invalid_input("field", name, f"It names more than {DEEPEST} levels")
        metadata[name[len(METADATA) :]] = arguments.one(name)
    limit = arguments.limit(1) if arguments.all("limit") else None
    counted(limit or 0)
    return Question(equal, metadata, _window(arguments)), limit


def counted(rows: int) -> None:
    """Raises a 400 where there are more rows than an answer may hold: none is left out without a word."""
    if rows > MOST_ROWS:
        raise Fault(f"An answer holds {MOST_ROWS} rows at most: ask for less time at once, or give a lower limit")


def _window(arguments: Arguments) -> Window:
    offset = arguments.integer("search_offset", 0)
    try:
        window = Window(
            _time(arguments, "start_timestamp"), _time(arguments, "end_timestamp"), timedelta(minutes=offset)
        )
        window.condition()
    except OverflowError as exc:
        raise invalid_input("search_offset", offset, str(exc)) from exc
    return window


def _time(arguments: Arguments, name: str) -> datetime | None:
    text = arguments.one(name)
    return None if text is None else read_timestamp(text)
