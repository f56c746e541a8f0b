"""The questions that API and admin ask of events, in the same words."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.lookups import Lookup

from metering.events import Trait, TraitType
from metering.models.paging import Key, Page, cut
from metering.models.queries import VisibleQuerySet

if TYPE_CHECKING:
    from metering.models.events import Event  # a name in annotations

TYPES_BY_LETTER = {kind[0]: kind for kind in TraitType}
OPERATORS = {"lt": "<", "le": "<=", "eq": "==", "ne": "!=", "ge": ">=", "gt": ">"}


def key_of(type_: TraitType, name: str) -> str:
    """The key of a trait in the column ``traits``."""
    return f"{type_[0]}:{name}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """That an event has a trait whose value compares so: one of the same type, or it has none."""

    name: str
    type: TraitType
    op: str  # of OPERATORS
    value: str | int | float | datetime

    def condition(self) -> Q:
        """In terms of the column ``traits``."""
        key = key_of(self.type, self.name)
        value: Any = Trait(self.name, self.type, self.value).text if self.type == TraitType.DATETIME else self.value
        if self.op == "eq":
            return Q(traits__contains={key: value})
        # The index tells who has the trait; the comparison alone would have it read all of the index.
        compared = f"$.{json.dumps(key)} ? (@ {OPERATORS[self.op]} {json.dumps(value)})"
        return Q(traits__has_key=key, traits__fits=compared)


@dataclass(frozen=True, slots=True)
class EventQuestion:
    """Which events are asked for; every part narrows it down."""

    event_type: str | None = None
    message_id: uuid.UUID | None = None
    start: datetime | None = None  # both included
    end: datetime | None = None
    comparisons: tuple[Comparison, ...] = ()


class EventQuerySet(VisibleQuerySet["Event"]):
    """Events. Seen by the project that their trait project_id names, and by admins."""

    def matching(self, question: EventQuestion) -> Self:
        """Those asked for. Looks the event type up first: so its index gives the events in order of time."""
        found = self
        if question.event_type is not None:
            found = found.of_type(question.event_type)
        if question.message_id is not None:
            found = found.filter(message_id=question.message_id)
        if question.start is not None:
            found = found.filter(generated__gte=question.start)
        if question.end is not None:
            found = found.filter(generated__lte=question.end)
        return found.filter(*(comparison.condition() for comparison in question.comparisons))

    def of_type(self, name: str) -> Self:
        """Those of this event type. Makes a query."""
        from metering.models.events import EventType  # noqa: PLC0415  # it imports this module

        known = EventType.objects.filter(name=name).values_list("id", flat=True).first()
        return self.none() if known is None else self.filter(event_type_id=known)

    def about(self, resource_id: str) -> Self:
        """Those whose trait resource_id is this."""
        return self.filter(Comparison("resource_id", TraitType.STRING, "eq", resource_id).condition())

    def with_trait(self, name: str) -> Self:
        """Those that have a trait of this name, of any type."""
        return self.filter(traits__has_any_keys=[key_of(kind, name) for kind in TraitType])

    def after(self, event: Event) -> Self:
        """Those that come behind this one, oldest first."""
        return self.behind(event.generated, event.message_id)

    def behind(self, generated: datetime, message_id: uuid.UUID) -> Self:
        """Those that come behind such a one, oldest first."""
        later = Q(generated=generated, message_id__gt=message_id) | Q(generated__gt=generated)
        return self.filter(later, generated__gte=generated)  # the bound by which partitions are left out

    def oldest_first(self) -> Self:
        return self.select_related("event_type").order_by("generated", "message_id")


def event_page(found: EventQuerySet, after: Key | None, limit: int) -> Page[Event]:
    """The next ``limit`` of these, oldest first, behind one of this time and id."""
    rest = found if after is None else found.behind(*after)
    return cut(rest.oldest_first(), limit, lambda event: (event.generated, event.message_id))


@models.JSONField.register_lookup
class Fits(Lookup[Any]):
    """That a JSONPath of PostgreSQL's finds something in the document."""

    lookup_name = "fits"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        left, left_values = self.process_lhs(compiler, connection)
        right, right_values = self.process_rhs(compiler, connection)
        return f"{left} @? {right}::jsonpath", (*left_values, *right_values)
