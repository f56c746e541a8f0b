"""The first page: the few figures that an operator looks at first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Max
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from metering.admin.lists import BoundedPaginator
from metering.models import Node, PollSlot, Quarantine, Resource
from metering.models.reachability import WINDOW, with_polls


@dataclass(frozen=True)
class Figure:
    """A number or a time, what it is of, and where its rows are."""

    title: str
    value: str
    href: str
    is_alarming: bool = False


def with_figures(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What unfold calls for its dashboard: four queries, whatever the tables hold."""
    context["figures"] = [_nodes(), _missed(), _quarantine(), _latest(), _kept()]
    return context


def _nodes() -> Figure:
    answers = Counter(with_polls(Node.objects.all(), timezone.now()).values_list("reachable", flat=True))
    text = f"{answers[True]} / {answers[False]}"
    return Figure("Nodes reachable / unreachable", text, _rows("node"), is_alarming=answers[False] > 0)


def _missed() -> Figure:
    since = timezone.now() - WINDOW
    missed = PollSlot.objects.missed().filter(due__gte=since).count()
    return Figure(
        "Polls missed in the last hour", f"{missed:,}", _rows("pollslot") + "?outcome=missed", is_alarming=missed > 0
    )


def _quarantine() -> Figure:
    most = BoundedPaginator.most
    kept = Quarantine.objects.filter(state=Quarantine.State.KEPT)[:most].count()
    text = f"{kept:,}" + (" or more" if kept == most else "")
    return Figure("In quarantine", text, _rows("quarantine") + "?state__exact=kept", is_alarming=kept > 0)


def _latest() -> Figure:
    latest = Resource.objects.aggregate(at=Max("last_sample"))["at"]
    return Figure("Latest sample", f"{latest:%Y-%m-%d %H:%M:%S}" if latest else "none yet", _rows("resource"))


def _kept() -> Figure:
    """What is set, on the machine that serves this page."""
    days = settings.METERING.retention_days
    return Figure("Samples kept for", f"{days} days" if days else "ever", _rows("resource"))


def _rows(model: str) -> str:
    return reverse(f"admin:metering_{model}_changelist")
