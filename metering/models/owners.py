"""Meters as a listing shows them: once of each resource, whoever owned it and whichever source told of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Exists, OuterRef

from metering.models.ledger import Series
from metering.models.paging import Key, Page, cut
from metering.models.queries import SeriesQuerySet, latest_of_series
from metering.models.questions import Window

_SAME = ("meter", "type", "unit", "resource_id")


def latest_owners(found: SeriesQuerySet, limit: int | None, after: int = 0) -> list[Series]:
    """The first ``limit`` by id behind ``after``, one of each (meter, type, unit, resource): that of the latest sample.

    One statement, from the series alone; only where there was more than one owner or source among those found,
    samples are looked at.
    """
    rivals = found.filter(**{column: OuterRef(column) for column in _SAME}).exclude(id=OuterRef("id"))
    query = found.annotate(contested=Exists(rivals)).order_by("id")
    chosen: list[Series] = []
    last = after
    while limit is None or len(chosen) < limit:
        wanted = None if limit is None else limit - len(chosen)
        page: list[Any] = list(query.filter(id__gt=last)[:wanted])
        former = _former(found, [series for series in page if series.contested])
        chosen += [series for series in page if series.id not in former]
        if wanted is None or len(page) < wanted:
            break
        last = page[-1].id
    return chosen


def owner_page(found: SeriesQuerySet, after: Key | None, limit: int) -> Page[Series]:
    """The next ``limit`` of `latest_owners`, behind the series whose id ``after`` holds."""
    rows = latest_owners(found, limit + 1, after[0] if after else 0)
    return Page(rows, None) if len(rows) <= limit else Page(rows[:limit], (rows[limit - 1].id,))


def distinct_page(found: SeriesQuerySet, after: Key | None, limit: int) -> Page[Series]:
    """The next ``limit`` of `distinct_meters`, of no resource and no owner."""
    meters: Any = found.distinct_meters()
    page: Page[Any] = cut(meters.filter(first__gt=after[0]) if after else meters, limit, lambda row: (row["first"],))
    nobody: dict[str, Any] = dict.fromkeys(("resource_id", "project_id", "user_id", "source"))
    rows = [Series(**nobody, **{name: row[name] for name in ("meter", "type", "unit")}) for row in page.rows]
    return Page(rows, page.next)


def _former(found: SeriesQuerySet, contested: Iterable[Series]) -> set[int]:
    """Those series beside which another of the same meter was read later."""
    ids = {series.resource_id for series in contested}
    if not ids:
        return set()
    dated = found.filter(resource_id__in=ids).annotate(last=latest_of_series("ts", Window()))
    owners: dict[tuple[Any, ...], list[tuple[Any, int]]] = defaultdict(list)
    for id_, last, *same in dated.values_list("id", "last", *_SAME):
        owners[tuple(same)].append(((last is not None, last), id_))
    return {id_ for dated_ids in owners.values() for _, id_ in sorted(dated_ids)[:-1]}
