"""Samples by the page, newest first: of a listing, and of a stream of as many as there are."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.db.models import Min, TextField
from django.db.models.functions import Cast

from metering.models.access import Caller
from metering.models.ledger import Resource, ResourceMetadata, Sample, SampleOriginal, Series
from metering.models.newest import newest, newest_samples
from metering.models.paging import Key, Page
from metering.models.queries import SampleQuerySet
from metering.models.questions import Place, Question

FIRST_SPAN = timedelta(hours=1)  # of time that the first page of a stream looks at
SHORTEST_SPAN, LONGEST_SPAN = timedelta(seconds=1), timedelta(days=36_500)
KEPT = 5_000  # series and metadata that a stream remembers, unless one page has more

NAMED = "5"  # the version of a UUID that stands for an id which is none, as its digit says
PLACE = (datetime, int, uuid.UUID)  # the types of a place's parts
_COLUMNS = ("ts", "volume", "recorded_at", "series_id", "given", "metadata_id")
_MIDDLE = uuid.UUID(int=0)  # of a place before which every sample of its moment has been


def sample_page(caller: Caller, question: Question, after: Key | None, limit: int) -> Page[StreamedSample]:
    """The next ``limit`` samples that the caller may see, behind the place ``after``."""
    rows = newest(caller, _behind(question, after), limit + 1, partial(_read, limit=limit + 1))
    samples = [
        StreamedSample(row[0], row[1], row[2], row[4], StreamedSeries(*row[6:-1]), StreamedMetadata(row[-1]))
        for row in rows[:limit]
    ]
    _rename(rows[:limit], samples)
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(samples, last and (last[0], last[3], uuid.UUID(last[4])))


def _read(samples: SampleQuerySet, limit: int) -> list[Any]:
    """What a reader is shown of the first of these, the newest first."""
    shown = (f"series__{name}" for name in StreamedSeries._fields)
    return list(_ordered(samples).values_list(*_COLUMNS, *shown, "metadata__body")[:limit])


def _ordered(samples: SampleQuerySet) -> Any:
    # Its id as text: a UUID would be made of it only to be written out again.
    return samples.order_by("-ts", "-series_id", "-message_id").annotate(given=Cast("message_id", TextField()))


def _behind(question: Question, after: Key | None) -> Question:
    if after is None:
        return question
    return replace(question, window=replace(question.window, behind=Place(*after)))


class StreamedSeries(NamedTuple):
    """What a sample's series says of it."""

    source: str
    meter: str
    type: str
    unit: str
    resource_id: str
    user_id: str | None
    project_id: str | None


class StreamedMetadata(NamedTuple):
    """What a sample's metadata says: its JSON text."""

    body: str


@dataclass(slots=True)
class StreamedSample:
    """A sample as `Sample` is read, and made in a tenth of the time."""

    ts: datetime
    volume: float
    recorded_at: datetime
    message_id: str
    series: StreamedSeries
    metadata: StreamedMetadata


Narrowing = Callable[[SampleQuerySet], SampleQuerySet]


def _as_they_are(samples: SampleQuerySet) -> SampleQuerySet:
    return samples


class SampleStream:
    """All samples asked for, in the order of a listing, in pages of bounded size and cost.

    The table has no index by time alone: to sort all that remains for each page would cost the more the more there is.
    A page therefore looks at a span of time that probably holds as many samples as are wanted, and the next span is
    as long as the last page tells. Each page is a statement of its own, so no connection is kept between two.
    """

    def __init__(self, caller: Caller, question: Question, narrowed: Narrowing = _as_they_are) -> None:
        """``narrowed`` says what more is asked of the samples than a question can say."""
        self._caller, self._question, self._narrowed = caller, question, narrowed
        self._span = FIRST_SPAN
        self._floor: datetime | None = None  # no sample is older
        self._series: dict[int, StreamedSeries] = {}
        self._metadata: dict[int, StreamedMetadata] = {}

    def page(self, after: Key | None, size: int) -> Page[StreamedSample]:
        """The next samples behind the place ``after``, at most ``size``; fewer, or none, do not mean the end."""
        if self._floor is None:
            first = Resource.objects.aggregate(Min("first_sample"))["first_sample__min"]
            self._floor = self._question.window.lower or first
        if after is None:
            newest = newest_samples(self._caller, self._question, 1)
            if not newest:
                return Page([], None)
            after = (newest[0].ts + timedelta(microseconds=1), 0, _MIDDLE)
        start = _earlier(after[0], self._span)
        is_last = start is None or (self._floor is not None and start <= self._floor)
        rows = self._rows(after, None if is_last else start, size)
        if len(rows) == size:
            last = rows[-1]
            # Not at once as short as this page: polls bring many samples of one moment, and then none for a while.
            self._span = max(2 * (rows[0][0] - last[0]), self._span / 2, SHORTEST_SPAN)
            return Page(self._samples(rows), (last[0], last[3], uuid.UUID(last[4])))
        self._span = min((2 if rows else 4) * self._span, LONGEST_SPAN)
        return Page(self._samples(rows), None if is_last else (start, 0, _MIDDLE))

    def _rows(self, after: Key, start: datetime | None, size: int) -> list[Any]:
        found = Sample.objects.visible_to(self._caller).matching(_behind(self._question, after))
        return list(_ordered(self._narrowed(found.between(start, None))).values_list(*_COLUMNS)[:size])

    def _samples(self, rows: list[Any]) -> list[StreamedSample]:
        self._learn(rows)
        series, metadata = self._series, self._metadata
        samples = [
            StreamedSample(ts, volume, recorded_at, given, series[series_id], metadata[metadata_id])
            for ts, volume, recorded_at, series_id, given, metadata_id in rows
        ]
        _rename(rows, samples)
        return samples

    def _learn(self, rows: list[Any]) -> None:
        """Look up the series and metadata of these rows that are not known yet."""
        for known in (self._series, self._metadata):
            if len(known) > KEPT:
                known.clear()
        new = {row[3] for row in rows} - self._series.keys()
        if new:
            for id_, *values in Series.objects.filter(id__in=new).values_list("id", *StreamedSeries._fields):
                self._series[id_] = StreamedSeries(*values)
        new = {row[5] for row in rows} - self._metadata.keys()
        if new:
            for id_, body in ResourceMetadata.objects.filter(id__in=new).values_list("id", "body"):
                self._metadata[id_] = StreamedMetadata(body)


def _rename(rows: list[Any], samples: list[StreamedSample]) -> None:
    """Give foreign samples the ids that they came with, where those are no UUIDs."""
    renamed = [(row, sample) for row, sample in zip(rows, samples, strict=True) if sample.message_id[14] == NAMED]
    if not renamed:
        return
    bodies = SampleOriginal.objects.filter(
        series_id__in={row[3] for row, _ in renamed},
        ts__in={row[0] for row, _ in renamed},
        message_id__in={row[4] for row, _ in renamed},
    ).values_list("message_id", "body")
    given = {str(message_id): json.loads(body)["message_id"] for message_id, body in bodies}
    for _, sample in renamed:
        sample.message_id = given.get(sample.message_id, sample.message_id)


def _earlier(moment: datetime, span: timedelta) -> datetime | None:
    """None where that is before the calendar."""
    try:
        return moment - span
    except OverflowError:
        return None
