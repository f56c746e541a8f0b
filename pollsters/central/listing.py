"""One listing of a service, over all its pages: each entry once, and an end whatever the service does. Pure Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from metering.errors import ServiceFailed
from pollsters.central.paging import Query, Turn


def entries(
    service: str,
    what: str,
    ask: Callable[[Query], Any],
    query: Query,
    key: str | None,
    turn: Turn,
    identity: tuple[str, ...],
    most_pages: int,
) -> Iterator[dict[str, Any]]:
    """The entries, as the pages come. ``service`` and ``what`` are for errors.

    Raises `ServiceFailed` for a page that is no list, and at the end for entries without an identity, for pages
    that repeat one another and for too many: what came before is good.
    """
    seen: set[tuple[str, ...]] = set()
    nameless = 0
    for _ in range(most_pages):
        body = ask(query)
        page = _page(service, what, body, key)
        known = len(seen)
        for entry in page:
            name = _identity(entry, identity)
            if name is None:
                nameless += 1
            elif name not in seen:
                seen.add(name)
                yield entry
        following = turn(body, page, query)
        if following is None:
            break
        if page and len(seen) == known:
            raise ServiceFailed(service, f"{what}: its pages repeat one another without an end")
        query = following
    else:
        raise ServiceFailed(service, f"{what}: more than {most_pages} pages")
    if nameless:
        raise ServiceFailed(service, f"{what}: {nameless} entries have no {' and '.join(identity)}")


def _page(service: str, what: str, body: Any, key: str | None) -> list[Any]:
    page = body if key is None else body.get(key) if isinstance(body, dict) else None
    if not isinstance(page, list):
        raise ServiceFailed(service, f"{what}: its answer has no list {key or ''}".rstrip())
    return page


def _identity(entry: Any, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """What makes two entries the same; None for what is no entry."""
    found = [entry.get(name) for name in names] if isinstance(entry, dict) else []
    texts = tuple(part for part in found if isinstance(part, str) and part)
    return texts if len(texts) == len(names) else None
