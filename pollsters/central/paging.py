"""How a listing goes on: from one page to the query of the next, as each OpenStack service does it. Pure Python.

Only the query is taken from a service's link, never its host: an endpoint behind a proxy names itself wrongly, and
a token must not go where a link points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Query = Mapping[str, str]
# Given the body, its entries and the query that brought them: the query of the next page, or None at the end.
Turn = Callable[[Any, Sequence[Any], Query], Query | None]


def by_link(body: Any, page: Sequence[Any], query: Query) -> Query | None:
    """glance: ``next``; keystone, designate: ``links.next``; cinder, neutron, octavia: ``<name>_links``."""
    link = _link(body)
    return dict(parse_qsl(urlsplit(link).query)) if link else None


def _link(body: Any) -> str | None:
    if not isinstance(body, Mapping):
        return None
    links = body.get("links")
    found = body.get("next") or (links.get("next") if isinstance(links, Mapping) else None)
    for name, value in body.items():
        if name.endswith("_links") and isinstance(value, list):
            nexts = [link.get("href") for link in value if isinstance(link, Mapping) and link.get("rel") == "next"]
            found = found or next(iter(nexts), None)
    return found if isinstance(found, str) else None


def by_name(body: Any, page: Sequence[Any], query: Query) -> Query | None:
    """swift: after the last name of a page, until a page is empty."""
    return {**query, "marker": str(page[-1]["name"])} if page else None


def by_offset(body: Any, page: Sequence[Any], query: Query) -> Query | None:
    """manila: after so many, until a page is empty."""
    return {**query, "offset": str(int(query.get("offset", "0")) + len(page))} if page else None


def not_at_all(body: Any, page: Sequence[Any], query: Query) -> Query | None:
    """All in one answer."""
    return None
