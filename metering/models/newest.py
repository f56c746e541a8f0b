"""The newest samples of many series, without looking at the others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models import F, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from metering.models.access import Caller
from metering.models.ledger import Sample, Series
from metering.models.queries import RECENT, SampleQuerySet
from metering.models.questions import Question

MOST = 1_000  # rows; for more of them, sorting everything costs no more

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class _Unnest(models.Func):
    """A row for each element of an array."""

    function = "UNNEST"
    set_returning = True
    output_field: Any = models.DateTimeField()


def newest_samples(caller: Caller, question: Question, limit: int) -> list[Sample]:
    """The latest read of the samples asked for that the caller may see, the latest first.

    If there are enough of the last day, no older one is looked at, nor thought of: to plan a question about every
    day's partition takes longer than to answer it.
    """
    recent = list(in_sight(caller, question, limit, datetime.now(UTC) - RECENT).newest_first()[:limit])
    return recent if len(recent) == limit else list(in_sight(caller, question, limit).newest_first()[:limit])


def in_sight(caller: Caller, question: Question, limit: int, start: datetime | None = None) -> SampleQuerySet:
    """The samples asked for, read at or after ``start``; or fewer, with the newest among them."""
    samples = Sample.objects.between(start, None)
    if limit <= MOST and not question.metadata and question.message_id is None:
        return _among_newest(caller, question, limit, samples)
    return samples.visible_to(caller).matching(question)


def _among_newest(caller: Caller, question: Question, limit: int, samples: SampleQuerySet) -> SampleQuerySet:
    """The samples asked for that may be among the newest ``limit``; all that are, and few others.

    They lie in the ``limit`` series that were read last, and are no older than the ``limit``-th of the newest
    samples of those: so only a few entries of each series in the key's index are read, whatever the table holds.
    """
    series = Series.objects.visible_to(caller).of(question.equal)
    samples = samples.within(question.window)
    times = samples.filter(series_id=OuterRef("pk")).order_by("-ts").values("ts")
    dated = series.annotate(last=Subquery(times[:1]))
    latest = dated.order_by(F("last").desc(nulls_last=True), "-id").values("id")[:limit]
    heads = series.filter(id__in=latest).annotate(newest=_Unnest(ArraySubquery(times[:limit])))
    oldest = heads.order_by("-newest").values("newest")[limit - 1 : limit]
    return samples.filter(
        series_id__in=latest, ts__gte=Coalesce(Subquery(oldest), Value(_BEGINNING, models.DateTimeField()))
    )
