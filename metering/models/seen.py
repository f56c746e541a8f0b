"""Resources as a listing shows them: what is true now, or what was true within a window of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, QuerySet, Subquery

from metering.models.access import Caller
from metering.models.ledger import Resource, Sample, Series
from metering.models.paging import Key, Page, cut
from metering.models.queries import ResourceQuerySet
from metering.models.questions import Question, fits


@dataclass(frozen=True, slots=True)
class SeenResource:
    """A resource with the source, owner and metadata of its latest sample."""

    resource_id: str
    source: str
    user_id: str | None
    project_id: str | None
    first_sample: datetime
    last_sample: datetime
    metadata: str  # its JSON text
    meters: Sequence[str] = field(default_factory=tuple)


_SHOWN = ("id", "resource_id", "source", "user_id", "project_id", "first_sample", "last_sample", "metadata__body")


def resources_seen(caller: Caller, question: Question, limit: int | None, *, meters: bool) -> list[SeenResource]:
    """The resources asked for that the caller may see, the longest known first. Two queries, mostly.

    With a window: those that had samples in it, as they were then.
    """
    return resource_page(caller, question, None, limit, meters=meters).rows


def resource_page(
    caller: Caller, question: Question, after: Key | None, limit: int | None, *, meters: bool
) -> Page[SeenResource]:
    """The next ``limit`` of them, behind the resource whose id ``after`` holds."""
    last = after[0] if after else 0
    if question.window.is_open:
        return _now(caller, question, last, limit, meters=meters)
    return _then(caller, question, last, limit)


def resource_seen(caller: Caller, resource_id: str) -> SeenResource | None:
    """The resource of this id as it is now."""
    found = Resource.objects.visible_to(caller).filter(resource_id=resource_id)
    rows = list(_latest_last(found))
    return _seen(rows, _meters(caller, Question(), [resource_id])) if rows else None


def _now(caller: Caller, question: Question, after: int, limit: int | None, *, meters: bool) -> Page[SeenResource]:
    found = Resource.objects.visible_to(caller).matching(question)
    told = _once(found).annotate(of_several=Exists(_beside(found).exclude(id=OuterRef("id"))))
    shown = told.filter(id__gt=after).order_by("id").values_list(*_SHOWN, "of_several", named=True)
    page = cut(shown, limit, lambda row: (row.id,))
    rows = {row.resource_id: [row] for row in page.rows}
    if several := [row.resource_id for row in page.rows if row.of_several]:
        rows |= _by_resource(_latest_last(found.filter(resource_id__in=several)))
    named = _meters(caller, question, rows) if meters else {}
    return Page([_seen(of_one, named) for of_one in rows.values()], page.next)


def _beside(found: ResourceQuerySet) -> ResourceQuerySet:
    """Those of the same resource id as the outer query's row: a row for each source that told of it."""
    return found.filter(resource_id=OuterRef("resource_id"))


def _once(found: ResourceQuerySet) -> ResourceQuerySet:
    """Of each resource id the row that was there first."""
    return found.filter(~Exists(_beside(found).filter(id__lt=OuterRef("id"))))


def _latest_last(found: ResourceQuerySet) -> QuerySet[Resource, Any]:
    return found.order_by("last_sample", "id").values_list(*_SHOWN, named=True)


def _by_resource(rows: Iterable[Any]) -> dict[str, list[Any]]:
    groups = defaultdict(list)
    for row in rows:
        groups[row.resource_id].append(row)
    return groups


def _meters(caller: Caller, question: Question, resource_ids: Iterable[str]) -> dict[str, list[str]]:
    return Series.objects.visible_to(caller).of(question.of_source).meters_of(resource_ids)


def _seen(rows: Sequence[Any], meters: Mapping[str, Sequence[str]]) -> SeenResource:
    """One resource of its rows, the last heard of last."""
    latest = rows[-1]
    return SeenResource(
        latest.resource_id,
        latest.source,
        latest.user_id,
        latest.project_id,
        min(row.first_sample for row in rows),
        latest.last_sample,
        latest.metadata__body,
        meters.get(latest.resource_id, ()),
    )


def _then(caller: Caller, question: Question, after: int, limit: int | None) -> Page[SeenResource]:
    """Which resources, then what each of their series had in the window: few rows, each an index look-up."""
    visible = Series.objects.visible_to(caller).of(question.of_source)
    own = visible.filter(resource_id=OuterRef("resource_id"), source=OuterRef("source")).matching(question)
    window = question.window
    chosen = Resource.objects.filter(Exists(own))
    if window.lower is not None:
        chosen = chosen.filter(last_sample__gte=window.lower)
    if window.upper is not None:
        chosen = chosen.filter(first_sample__lte=window.upper)
    listed = _once(chosen).filter(id__gt=after).order_by("id").values_list("resource_id", "id")
    page = cut(listed, limit, lambda row: row[1:])
    samples = Sample.objects.within(window).filter(series_id=OuterRef("pk"))
    latest = samples.order_by("-ts", "-recorded_at")
    rows = (
        visible.filter(resource_id__in=[resource_id for resource_id, _ in page.rows])
        .annotate(
            first=Subquery(samples.order_by("ts").values("ts")[:1]),
            last=Subquery(latest.values("ts")[:1]),
            stored=Subquery(latest.values("recorded_at")[:1]),
            body=Subquery(latest.values("metadata__body")[:1]),
        )
        .order_by(F("last").asc(nulls_first=True), "stored", "id")
        .values_list("resource_id", "source", "user_id", "project_id", "meter", "first", "last", "body", named=True)
    )
    series = _by_resource(rows)
    return Page([seen for key, _ in page.rows if (seen := _merged(series[key], question))], page.next)


def _merged(rows: Sequence[Any], question: Question) -> SeenResource | None:
    """One resource of its series, the last read last; those of another owner than asked for only lend meters.

    None where its samples went between the two queries.
    """
    read = [
        row
        for row in rows
        if row.last is not None
        and all(
            fits(getattr(row, column), question.equal.get(column, getattr(row, column)))
            for column in ("user_id", "project_id")
        )
    ]
    if not read:
        return None
    latest = read[-1]
    return SeenResource(
        latest.resource_id,
        latest.source,
        latest.user_id,
        latest.project_id,
        min(row.first for row in read),
        latest.last,
        latest.body,
        sorted({row.meter for row in rows}),
    )
