"""The questions that API, admin and commands ask of the ledger, in the same words."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.contrib.postgres.aggregates import ArrayAgg
from django.db import models
from django.db.models import Exists, F, Func, Min, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from metering.identity import EPOCH, prefix_of
from metering.models.access import Caller
from metering.models.figures import Figure
from metering.models.questions import (
    OneOf,
    Question,
    Scalar,
    Wanted,
    Window,
    column_condition,
    metadata_condition,
)
from metering.models.statistics import Statistics, add_up

if TYPE_CHECKING:
    from metering.models.ledger import (  # noqa: F401  # names in annotations
        Resource,
        ResourceMetadata,
        Sample,
        Series,
        ToldMetadata,
    )

Row = TypeVar("Row", bound=models.Model)

RECENT = timedelta(days=1)
_LAST_MILLISECOND = 253_402_300_799_998  # but one of the year 9999: a foreign id says any time


class VisibleQuerySet(models.QuerySet[Row]):
    """Rows that belong to a project: the one place that decides who may see what."""

    of_series = ""  # how to reach the columns of a series from here

    def visible_to(self, caller: Caller) -> Self:
        """An admin sees all rows; anybody else those of his own project; nobody without one sees any."""
        if caller.is_admin:
            return self
        if caller.project_id is None:
            return self.none()
        return self.filter(**{f"{self.of_series}project_id": caller.project_id})

    def of(self, wanted: Mapping[str, Wanted]) -> Self:
        """Those whose series has these values; None is null."""
        return self.filter(*(column_condition(f"{self.of_series}{name}", value) for name, value in wanted.items()))


class SeriesQuerySet(VisibleQuerySet["Series"]):
    """Meters."""

    def matching(self, question: Question) -> Self:
        """Those asked for; with metadata or a window, by their latest sample (within the window)."""
        from metering.models.ledger import Sample  # noqa: PLC0415  # it imports this module

        found = self.of(question.equal)
        if question.metadata:
            return found.with_latest_metadata(question.metadata, question.window)
        if not question.window.is_open:
            return found.filter(Exists(Sample.objects.within(question.window).filter(series_id=OuterRef("pk"))))
        return found

    def statistics(
        self, question: Question, figures: Iterable[Figure], group_by: Sequence[str] = (), period: int = 0
    ) -> list[Statistics]:
        """The figures of each unit, group and period that has samples, by time, group and unit. One grouped query.

        A period is ``period`` seconds, its end excluded; the first begins where the question's window does, else at
        the first sample. 0 puts all time into one. Raises OverflowError where a period passes the end of the
        calendar, and Django's DataError where volumes are too large to be added up.
        """
        return add_up(self.of(question.equal), question, figures, group_by, period)

    def with_latest_metadata(self, wanted: Mapping[str, Scalar | OneOf], window: Window) -> Self:
        """Those whose latest sample within the window says this of its resource."""
        from metering.models.ledger import ResourceMetadata  # noqa: PLC0415  # it imports this module

        latest = latest_of_series("metadata_id", window)
        return self.alias(latest_metadata=latest).filter(latest_metadata__in=ResourceMetadata.objects.saying(wanted))

    def values_in(self, column: str) -> models.QuerySet[Series, Any]:
        """Each value of a column once, in their order; no null."""
        return self.exclude(**{column: None}).order_by(column).values_list(column, flat=True).distinct()

    def distinct_meters(self) -> models.QuerySet[Series, Any]:
        """Each (meter, type, unit) once, whatever the resource; the first known first."""
        return self.values("meter", "type", "unit").annotate(first=Min("id")).order_by("first")

    def meters_of(self, resource_ids: Iterable[str]) -> dict[str, list[str]]:
        """The names of the meters of each of these; each once, in their order."""
        found = self.filter(resource_id__in=set(resource_ids)).order_by().values_list("resource_id")
        # Sorted here: the database would have to sort all of them, which takes longer.
        named = found.annotate(names=ArrayAgg("meter"))
        return {resource_id: sorted(set(names)) for resource_id, names in named}


def latest_of_series(column: str, window: Window) -> Coalesce:
    """A column of the latest sample of a series (the outer query's row) within the window; null where it has none.

    The last day's partitions are asked first: nearly every series that still is has its latest sample there, and
    to pass by all other days costs more than the look-up itself.
    """
    from metering.models.ledger import Sample  # noqa: PLC0415  # it imports this module

    own = Sample.objects.within(window).filter(series_id=OuterRef("pk")).order_by("-ts", "-recorded_at")
    recent = own.filter(ts__gte=datetime.now(UTC) - RECENT)
    return Coalesce(Subquery(recent.values(column)[:1]), Subquery(own.values(column)[:1]))


class ResourceMetadataQuerySet(models.QuerySet["ResourceMetadata"]):
    """Metadata."""

    def saying(self, wanted: Mapping[str, Scalar | OneOf]) -> models.QuerySet[ResourceMetadata, Any]:
        """The ids of those that say all of this, by the index of their documents."""
        return self.filter(metadata_condition(wanted, "document")).values("id")


class ToldMetadataQuerySet(models.QuerySet["ToldMetadata"]):
    """Which resources have had which metadata."""

    def resources_saying(self, wanted: Mapping[str, Scalar | OneOf]) -> models.QuerySet[ToldMetadata, Any]:
        """The ids of the resources that have once said all of this."""
        from metering.models.ledger import ResourceMetadata  # noqa: PLC0415  # it imports this module

        return self.filter(metadata_id__in=ResourceMetadata.objects.saying(wanted)).values("resource_id")


class _Same(Func):
    """That two columns have the same value, or none both."""

    template = "(%(expressions)s)"
    arg_joiner = " IS NOT DISTINCT FROM "
    output_field: Any = models.BooleanField()


class ResourceQuerySet(VisibleQuerySet["Resource"]):
    """Resources, by their present owner."""

    def matching(self, question: Question) -> Self:
        """Those asked for. One has a metadata when the latest sample of one of its present owner's meters has it."""
        found = self.of(question.equal)
        if not question.metadata:
            return found
        from metering.models.ledger import Series  # noqa: PLC0415  # it imports this module

        own = Series.objects.filter(
            *(_Same(F(column), OuterRef(column)) for column in ("user_id", "project_id")),
            resource_id=OuterRef("resource_id"),
            source=OuterRef("source"),
        )
        return found.filter(Exists(own.with_latest_metadata(question.metadata, Window())))


class SampleQuerySet(VisibleQuerySet["Sample"]):
    """Samples."""

    of_series = "series__"

    def between(self, start: datetime | None, end: datetime | None) -> Self:
        """Read at or after ``start`` and before ``end``; None leaves that side open."""
        return self.within(Window(start, end))

    def within(self, window: Window) -> Self:
        return self.filter(window.condition())

    def matching(self, question: Question) -> Self:
        """Those asked for."""
        from metering.models.ledger import ResourceMetadata, ToldMetadata  # noqa: PLC0415  # it imports this module

        found = self.of(question.equal).within(question.window)
        if question.metadata:
            told = ToldMetadata.objects.resources_saying(question.metadata)
            found = found.filter(
                metadata_id__in=ResourceMetadata.objects.saying(question.metadata), series__resource_id__in=told
            )
        if question.message_id is not None:
            found = found.with_message_id(question.message_id)
        return found

    def newest_first(self) -> Self:
        """The latest read first, with what a reader is shown of each."""
        return self.select_related("series", "metadata").order_by("-ts", "-series_id", "-message_id")

    def with_message_id(self, message_id: uuid.UUID) -> Self:
        """The sample of this id: one of ours says its time and series, a foreign one is looked up."""
        return self.filter(places_of([message_id])[message_id])


def places_of(message_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Q]:
    """Where the sample of each id lies. Makes two queries: of the series that our ids say, and of foreign ids."""
    from metering.models.ledger import ForeignId, Series  # noqa: PLC0415  # they import this module

    told = {id_: divmod(prefix_of(id_.int), 1 << 32) for id_ in message_ids}
    tagged = defaultdict(list)
    for tag, series_id in Series.objects.filter(tag__in={tag for _, tag in told.values()}).values_list("tag", "id"):
        tagged[tag].append(series_id)
    places = {}
    for id_, (milliseconds, tag) in told.items():
        moment = EPOCH + timedelta(milliseconds=min(milliseconds, _LAST_MILLISECOND))
        places[id_] = Q(ts__gte=moment, ts__lt=moment + timedelta(milliseconds=1), series_id__in=tagged[tag])
    foreign = ForeignId.objects.filter(message_id__in=message_ids)
    for id_, series_id, ts in foreign.values_list("message_id", "series_id", "ts"):
        places[id_] |= Q(series_id=series_id, ts=ts)
    return {id_: Q(place, message_id=id_) for id_, place in places.items()}
