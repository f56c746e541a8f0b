"""What rows of samples refer to: looked up once for many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from django.db import connection

from metering.models import SampleOriginal
from metering.store.raw_rows import Key, Row, key_of, moment

MOST_REMEMBERED = 200_000  # rows of each kind
_BODIES_ASKED = 1_000  # in one query, for each may be long

Known = TypeVar("Known")


def remember(
    known: dict[int, Known], wanted: set[int], find: Callable[[list[int]], Iterable[tuple[int, Known]]]
) -> None:
    """Find what is not known yet; bounded, and simply begun anew when full."""
    missing = wanted - known.keys()
    if len(known) + len(missing) > MOST_REMEMBERED:
        known.clear()
        missing = wanted
    if missing:
        known.update(find(sorted(missing)))


def referred(what: str, ids: list[int]) -> list[tuple[Any, ...]]:
    """The rows of these ids; ``what`` is "columns FROM table"."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {what} WHERE id = ANY(%s)", [ids])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def bodies(ids: list[int]) -> Iterator[tuple[int, str]]:
    """Metadata as they were signed."""
    for place in range(0, len(ids), _BODIES_ASKED):
        yield from referred("id, body FROM resource_metadata", ids[place : place + _BODIES_ASKED])


def told_times(times: list[int]) -> Iterator[tuple[int, str]]:
    """Times of rows as messages tell them."""
    return ((time, moment(time).isoformat(timespec="microseconds")) for time in times)


def originals_of(rows: Sequence[Row]) -> dict[Key, str]:
    """The texts kept beside the samples of a page."""
    times = [row[1] for row in rows]
    kept = SampleOriginal.objects.filter(ts__gte=moment(min(times)), ts__lte=moment(max(times)))
    return dict(kept.filter(pk__gte=key_of(rows[0]), pk__lte=key_of(rows[-1])).values_list("pk", "body"))
