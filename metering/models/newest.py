"""The newest samples of many series, without looking at the others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from metering.models.access import Caller
from metering.models.ledger import Sample, Series
from metering.models.queries import RECENT, SampleQuerySet, SeriesQuerySet
from metering.models.questions import Question

MOST = 1_000  # rows; for more of them, sorting everything costs no more
_LOOKED_AT = 2  # series for each row wanted: some of them have ended, while others of their resource go on
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

Found = TypeVar("Found")
Head = tuple[datetime, int]  # the time of a series' newest sample, and its id


class _Unnest(models.Func):
    """A row for each element of an array."""

    function = "UNNEST"
    set_returning = True
    output_field: Any = models.DateTimeField()


def newest_samples(caller: Caller, question: Question, limit: int) -> list[Sample]:
    """The latest read of the samples asked for that the caller may see, the latest first."""
    return newest(caller, question, limit, lambda samples: list(samples.newest_first()[:limit]))


def newest(
    caller: Caller, question: Question, limit: int, read: Callable[[SampleQuerySet], list[Found]]
) -> list[Found]:
    """What ``read`` makes of the newest ``limit``; it is given these, or these and others, to choose from.

    If there are enough of the last day, no older one is looked at, nor thought of: to plan a question about every
    day's partition takes longer than to answer it.
    """
    start = datetime.now(UTC) - RECENT
    if limit > MOST or question.metadata or question.message_id is not None:
        samples = Sample.objects.visible_to(caller).matching(question)
        found = read(samples.between(start, None))
        return found if len(found) == limit else read(samples)
    series = Series.objects.visible_to(caller).of(question.equal)
    samples = Sample.objects.within(question.window)
    recent, alive = samples.between(start, None), series.filter(resource__last_sample__gte=start)
    heads = _heads(alive, recent, limit)
    if len(heads) == limit:
        return read(_of(heads, recent))
    found = read(_among_newest(alive, recent, limit)) if heads else []
    return found if len(found) == limit else read(_among_newest(series, samples, limit))


def _heads(series: SeriesQuerySet, samples: SampleQuerySet, limit: int) -> list[Head]:
    """The newest of these samples of the ``limit`` series that were read last, as a listing orders them; or of fewer,
    if not as many are found soon.

    They are looked for among the series whose resource was read last. Only where one behind those may have been read
    later than the last head, which a window makes likely, all such are looked at.
    """
    promising = series.order_by("-resource__last_sample", "-id").annotate(last=Subquery(_times(samples)[:1]))
    found = list(promising.values_list("resource__last_sample", "id", "last")[: _LOOKED_AT * limit])
    heads = sorted(((last, id_) for _, id_, last in found if last is not None), reverse=True)[:limit]
    if len(heads) < limit or len(found) < _LOOKED_AT * limit or found[-1][:2] <= heads[-1]:
        return heads
    ts, id_ = heads[-1]
    later, at_once = Q(resource__last_sample__gt=ts), Q(resource__last_sample=ts, id__gte=id_)
    return list(_latest_first(series.filter(later | at_once), samples).values_list("last", "id")[:limit])


def _latest_first(series: SeriesQuerySet, samples: SampleQuerySet) -> Any:
    """The series by the ``last`` time at which these samples of them were read; those without any last."""
    dated = series.annotate(last=Subquery(_times(samples)[:1]))
    return dated.order_by(F("last").desc(nulls_last=True), "-id")


def _times(samples: SampleQuerySet) -> Any:
    """When these samples of a series (the outer query's row) were read, the latest first."""
    return samples.filter(series_id=OuterRef("pk")).order_by("-ts").values("ts")


def _of(heads: list[Head], samples: SampleQuerySet) -> SampleQuerySet:
    """Those of these series that stand no further behind than the last of the heads."""
    return samples.filter(series_id__in=[id_ for _, id_ in heads], ts__gte=heads[-1][0])


def _among_newest(series: SeriesQuerySet, samples: SampleQuerySet, limit: int) -> SampleQuerySet:
    """Those of these samples that may be among the newest ``limit``; all that are, and few others.

    They lie in the ``limit`` series that were read last, and are no older than the ``limit``-th of the newest
    samples of those: so only a few entries of each series in the key's index are read, whatever the table holds.
    """
    latest = _latest_first(series, samples).values("id")[:limit]
    heads = series.filter(id__in=latest).annotate(newest=_Unnest(ArraySubquery(_times(samples)[:limit])))
    oldest = heads.order_by("-newest").values("newest")[limit - 1 : limit]
    return samples.filter(
        series_id__in=latest, ts__gte=Coalesce(Subquery(oldest), Value(_BEGINNING, models.DateTimeField()))
    )
