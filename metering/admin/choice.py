"""Which samples a list shows: never more than an index can find quickly."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from metering.models import Resource, Sample, Series

DAY = timedelta(days=1)
MOST_SERIES = 1_000  # of one resource: real ones have some dozens

NOTHING_CHOSEN = "Choose a resource, a meter of a resource or a time, or search for a message id."
NEWEST_DAY = "The newest day of what you chose. Choose a time for another, or a meter of a resource for all of it."


@dataclass(frozen=True)
class Choice:
    """What was typed into the filters and the search of the samples' list; empty or None means nothing."""

    resource: str
    meter: str
    term: str  # of the search: a message id or a resource id
    start: datetime | None
    end: datetime | None

    def of(self, rows: QuerySet[Any]) -> tuple[QuerySet[Any], str]:
        """The chosen ones of ``rows``, which the other filters have narrowed, and a word about what they are.

        One series is found by its key, however long it is. Several have no common order by time that
        an index could give, so of them, and of a time alone, there is one day.
        """
        keys = self._keys_of_the_term()
        if keys is not None:
            return rows.filter(keys), ""
        resource = self.resource or self.term
        if "\0" in resource + self.meter:  # PostgreSQL's text holds none
            return rows.none(), NOTHING_CHOSEN
        if not resource and self.start is None and self.end is None:
            return rows.none(), NOTHING_CHOSEN
        if not resource:
            return self._newest_day(rows, self.end or timezone.now()), NEWEST_DAY
        series = self._series(resource)
        rows = rows.filter(series_id__in=series)
        if len(series) <= 1:
            return rows, ""
        newest = Resource.objects.filter(resource_id=resource).aggregate(at=Max("last_sample"))["at"]
        return self._newest_day(rows, min(filter(None, (self.end, newest)), default=timezone.now())), NEWEST_DAY

    def _keys_of_the_term(self) -> Q | None:
        """Where the sample of the searched message id is; None when the term is no such id."""
        try:
            message_id = uuid.UUID(self.term)
        except ValueError:
            return None
        found = Sample.objects.with_message_id(message_id).values_list("series_id", "ts")
        keys = [Q(series_id=series_id, ts=ts, message_id=message_id) for series_id, ts in found]
        return Q(*keys, _connector=Q.OR) if keys else None

    def _series(self, resource: str) -> list[int]:
        series = Series.objects.filter(resource_id=resource)
        if self.meter:
            series = series.filter(meter=self.meter)
        return list(series.values_list("id", flat=True)[:MOST_SERIES])

    def _newest_day(self, rows: QuerySet[Any], newest: datetime) -> QuerySet[Any]:
        return rows.filter(ts__gte=newest - DAY)
