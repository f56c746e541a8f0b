"""Which nodes answer their polls: asked by the admin, and by whoever else wants to know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypedDict

from django.db import models
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django_stubs_ext import WithAnnotations

from metering.environment import CENTRAL
from metering.models.nodes import Node, PollSlot

WINDOW = timedelta(hours=1)
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class Polls(TypedDict):
    """What `with_polls` knows of a node."""

    expected: int
    received: int
    reachable: bool | None


if TYPE_CHECKING:
    PolledNode = WithAnnotations[Node, Polls]
else:
    PolledNode = Node


def with_polls(nodes: QuerySet[Node], now: datetime) -> QuerySet[PolledNode]:
    """Each node with ``expected`` and ``received``, its closed polls of the last hour, and ``reachable``.

    A node is unreachable (False) when its last two closed slots brought no receipt; None when it is
    not polled, or too few slots are closed to tell. A slot in which no order was sent tells nothing.
    """
    slots = PollSlot.objects.filter(node=OuterRef("asked_as"))
    closed = slots.filter(deadline__lt=now)
    last_hour = closed.filter(due__gte=now - WINDOW)
    ordered = closed.exclude(note="not dispatched")
    last_but_one = ordered.order_by("-due").values("due").distinct()[1:2]
    return (
        nodes.annotate(asked_as=_asked_as())
        .annotate(
            expected=_count(last_hour),
            received=_count(last_hour.filter(received=F("parts"))),
            last_but_one=Subquery(last_but_one),
            answered=Exists(slots.filter(received__gt=0, due__gte=Coalesce(OuterRef("last_but_one"), _ALWAYS))),
        )
        .annotate(
            reachable=Case(
                When(answered=True, then=Value(True)),  # noqa: FBT003 # an SQL value
                When(last_but_one=None, then=Value(None)),
                default=Value(False),  # noqa: FBT003 # an SQL value
                output_field=models.BooleanField(null=True),
            )
        )
    )


def _asked_as() -> Case:
    """The node name in poll orders; null for those that get none."""
    return Case(
        When(Q(role="compute", enabled=True), then=F("name")),
        When(Q(role="central", enabled=True), then=Value(CENTRAL)),
        default=Value(None),
        output_field=models.TextField(null=True),
    )


def _count(slots: QuerySet[PollSlot]) -> Coalesce:
    counted = slots.order_by().values("node").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counted), 0)
