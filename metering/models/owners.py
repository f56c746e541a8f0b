"""Meters as a listing shows them: where a resource changed hands, those of its present owner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Exists, OuterRef

from metering.models.ledger import Series
from metering.models.queries import SeriesQuerySet, latest_of_series
from metering.models.questions import Window

_SAME = ("meter", "type", "unit", "resource_id", "source")


def latest_owners(found: SeriesQuerySet, limit: int | None) -> list[Series]:
    """The first ``limit`` by id, one of each (meter, type, unit, resource, source): whose sample is the latest.

    One statement, from the series alone; only where there was more than one owner among those found, samples
    are looked at.
    """
    rivals = found.filter(**{column: OuterRef(column) for column in _SAME}).exclude(id=OuterRef("id"))
    query = found.annotate(contested=Exists(rivals)).order_by("id")
    chosen: list[Series] = []
    last = 0
    while limit is None or len(chosen) < limit:
        wanted = None if limit is None else limit - len(chosen)
        page: list[Any] = list(query.filter(id__gt=last)[:wanted])
        former = _former(found, [series for series in page if series.contested])
        chosen += [series for series in page if series.id not in former]
        if wanted is None or len(page) < wanted:
            break
        last = page[-1].id
    return chosen


def _former(found: SeriesQuerySet, contested: Iterable[Series]) -> set[int]:
    """Those series whose resource has another owner now."""
    ids = {series.resource_id for series in contested}
    if not ids:
        return set()
    dated = found.filter(resource_id__in=ids).annotate(last=latest_of_series("ts", Window()))
    owners: dict[tuple[Any, ...], list[tuple[Any, int]]] = defaultdict(list)
    for id_, last, *same in dated.values_list("id", "last", *_SAME):
        owners[tuple(same)].append(((last is not None, last), id_))
    return {id_ for dated_ids in owners.values() for _, id_ in sorted(dated_ids)[:-1]}
