"""Resources as a listing shows them: what is true now, or what was true within a window of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, Subquery

from metering.models.access import Caller
from metering.models.ledger import Resource, Sample, Series
from metering.models.paging import Key, Page, cut
from metering.models.queries import ResourceQuerySet
from metering.models.questions import Question, fits


@dataclass(frozen=True, slots=True)
class SeenResource:
    """A resource with the owner and metadata of its latest sample; of several sources, each is one."""

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
    """The resources asked for that the caller may see, the longest known first. Two queries.

    With a window: those that had samples in it, as they were then.
    """
    return resource_page(caller, question, None, limit, meters=meters).rows


def resource_page(
    caller: Caller, question: Question, after: Key | None, limit: int | None, *, meters: bool
) -> Page[SeenResource]:
    """The next ``limit`` of them, behind the resource whose id ``after`` holds."""
    found = Resource.objects.filter(id__gt=after[0]) if after else Resource.objects.all()
    if question.window.is_open:
        return _now(caller, question, found, limit, meters=meters)
    return _then(caller, question, found, limit)


def resource_seen(caller: Caller, resource_id: str) -> SeenResource | None:
    """The resource of this id as it is now; of several sources, the one last heard of."""
    found = Resource.objects.visible_to(caller).filter(resource_id=resource_id)
    row = found.order_by("-last_sample", "-id").values_list(*_SHOWN, named=True).first()
    return None if row is None else _with_meters(caller, [row])[0]


def _now(
    caller: Caller, question: Question, found: ResourceQuerySet, limit: int | None, *, meters: bool
) -> Page[SeenResource]:
    found = found.visible_to(caller).matching(question)
    page = cut(found.order_by("id").values_list(*_SHOWN, named=True), limit, lambda row: (row.id,))
    rows = _with_meters(caller, page.rows) if meters else [_seen(row, ()) for row in page.rows]
    return Page(rows, page.next)


def _with_meters(caller: Caller, rows: list[Any]) -> list[SeenResource]:
    meters = Series.objects.visible_to(caller).meters_of(row.resource_id for row in rows)
    return [_seen(row, meters.get((row.resource_id, row.source), ())) for row in rows]


def _seen(row: Any, meters: Sequence[str]) -> SeenResource:
    return SeenResource(
        row.resource_id,
        row.source,
        row.user_id,
        row.project_id,
        row.first_sample,
        row.last_sample,
        row.metadata__body,
        meters,
    )


def _then(caller: Caller, question: Question, found: ResourceQuerySet, limit: int | None) -> Page[SeenResource]:
    """Which resources, then what each of their series had in the window: few rows, each an index look-up."""
    visible = Series.objects.visible_to(caller)
    own = visible.filter(resource_id=OuterRef("resource_id"), source=OuterRef("source")).matching(question)
    window = question.window
    chosen = found.filter(Exists(own))
    if window.lower is not None:
        chosen = chosen.filter(last_sample__gte=window.lower)
    if window.upper is not None:
        chosen = chosen.filter(first_sample__lte=window.upper)
    page = cut(chosen.order_by("id").values_list("resource_id", "source", "id"), limit, lambda row: row[2:])
    keys = [row[:2] for row in page.rows]
    samples = Sample.objects.within(window).filter(series_id=OuterRef("pk"))
    latest = samples.order_by("-ts", "-recorded_at")
    rows = (
        visible.filter(resource_id__in={resource_id for resource_id, _ in keys})
        .annotate(
            first=Subquery(samples.order_by("ts").values("ts")[:1]),
            last=Subquery(latest.values("ts")[:1]),
            stored=Subquery(latest.values("recorded_at")[:1]),
            body=Subquery(latest.values("metadata__body")[:1]),
        )
        .order_by(F("last").asc(nulls_first=True), "stored", "id")
        .values("resource_id", "source", "user_id", "project_id", "meter", "first", "last", "body")
    )
    series: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        series[row["resource_id"], row["source"]].append({**row})
    return Page([seen for key in keys if (seen := _merged(series[key], question))], page.next)


def _merged(series: Iterable[dict[str, Any]], question: Question) -> SeenResource | None:
    """One resource of its series, the last read last; those of another owner than asked for only lend meters.

    None where its samples went between the two queries.
    """
    rows = list(series)
    read = [
        row
        for row in rows
        if row["last"] is not None
        and all(fits(row[column], question.equal.get(column, row[column])) for column in ("user_id", "project_id"))
    ]
    if not read:
        return None
    latest = read[-1]
    return SeenResource(
        latest["resource_id"],
        latest["source"],
        latest["user_id"],
        latest["project_id"],
        min(row["first"] for row in read),
        latest["last"],
        latest["body"],
        sorted({row["meter"] for row in rows}),
    )
