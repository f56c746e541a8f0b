"""The questions that API, admin and commands ask of the ledger, in the same words."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from django.db import models
from django.db.models import Q

from metering.models.access import Caller

if TYPE_CHECKING:
    from metering.models.ledger import Resource, Sample, Series  # noqa: F401  # names in annotations

Row = TypeVar("Row", bound=models.Model)


class VisibleQuerySet(models.QuerySet[Row]):
    """Rows that belong to a project: the one place that decides who may see what."""

    project_field = "project_id"

    def visible_to(self, caller: Caller) -> Self:
        """An admin sees all rows; anybody else those of his own project; nobody without one sees any."""
        if caller.is_admin:
            return self
        if caller.project_id is None:
            return self.none()
        return self.filter(**{self.project_field: caller.project_id})


class SeriesQuerySet(VisibleQuerySet["Series"]):
    """Meters."""


class ResourceQuerySet(VisibleQuerySet["Resource"]):
    """Resources, by their present owner."""


class SampleQuerySet(VisibleQuerySet["Sample"]):
    """Samples."""

    project_field = "series__project_id"

    def between(self, start: datetime | None, end: datetime | None) -> Self:
        """Read at or after ``start`` and before ``end``; None leaves that side open."""
        bounds: dict[str, Any] = {}
        if start is not None:
            bounds["ts__gte"] = start
        if end is not None:
            bounds["ts__lt"] = end
        return self.filter(**bounds)

    def with_message_id(self, message_id: uuid.UUID) -> Self:
        """The sample of this id: one of ours says its time and series, a foreign one is looked up."""
        from metering.models.ledger import ForeignId, Series  # noqa: PLC0415  # they name this class

        number = message_id.int
        moment = datetime.fromtimestamp(0, UTC) + timedelta(
            milliseconds=min(number >> 80, 253_402_300_799_999)
        )
        tag = ((number >> 64) & 0xFFF) << 20 | (number >> 42) & 0xFFFFF
        ours = Q(
            ts__gte=moment,
            ts__lt=moment + timedelta(milliseconds=1),
            series_id__in=list(Series.objects.filter(tag=tag).values_list("id", flat=True)),
        )
        for series_id, ts in ForeignId.objects.filter(message_id=message_id).values_list("series_id", "ts"):
            ours |= Q(series_id=series_id, ts=ts)
        return self.filter(ours, message_id=message_id)
