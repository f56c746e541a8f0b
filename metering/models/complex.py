"""The samples that a complex query asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db.models import prefetch_related_objects

from metering.identity import stored_id
from metering.models.access import Caller
from metering.models.expressions import COLUMNS, EQUAL, IN, Clause, Expression, fitting
from metering.models.ledger import Sample
from metering.models.newest import newest_samples
from metering.models.queries import RECENT
from metering.models.questions import OneOf, Question, Scalar, Wanted, Window

_OF_SERIES = ("source", "meter", "type", "unit", "resource_id", "user_id", "project_id")
_BOUNDS = ("<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class ComplexQuery:
    """Which samples, in which order. Without an order the newest come first."""

    limit: int
    expression: Expression | None = None
    order: Sequence[tuple[str, bool]] = field(default_factory=tuple)  # fields of `COLUMNS`; True: descending


def complex_samples(caller: Caller, query: ComplexQuery) -> list[Sample]:
    """The samples asked for that the caller may see.

    Where the newest are asked for, and nothing but equalities and a span of time, as any listing finds them.
    """
    question = None if query.order else as_question(query.expression)
    if question is not None:
        return newest_samples(caller, question, query.limit)
    found: list[Sample] = []
    if not query.order:
        found = _found(caller, query, datetime.now(UTC) - RECENT)
    if len(found) < query.limit:
        found = _found(caller, query)
    prefetch_related_objects(found, "series", "metadata")
    return found


def _found(caller: Caller, query: ComplexQuery, start: datetime | None = None) -> list[Sample]:
    """Those read at or after ``start``, bare: what is shown of each would have to be sorted along with all of them."""
    order = [f"{'-' if descending else ''}{COLUMNS[name]}" for name, descending in query.order]
    found = fitting(Sample.objects.between(start, None).visible_to(caller), query.expression)
    return list(found.order_by(*order, "-ts", "-series_id", "-message_id")[: query.limit])


def as_question(expression: Expression | None) -> Question | None:
    """The same as a simple question; None where none says it."""
    if expression is None:
        return Question()
    parts = expression.parts if not isinstance(expression, Clause) else (expression,)
    if not isinstance(expression, Clause) and not expression.of_all:
        return None
    equal: dict[str, Wanted] = {}
    metadata: dict[str, Scalar | OneOf] = {}
    lower = upper = message_id = None
    for part in parts:
        if not isinstance(part, Clause):
            return None
        if part.op == IN and part.field in _OF_SERIES and part.field not in equal:
            equal[part.field] = OneOf(str(value) for value in part.values)
        elif part.field == "timestamp" and part.op in _BOUNDS:
            if (lower if part.op[0] == ">" else upper) is not None:
                return None
            lower, upper = (part, upper) if part.op[0] == ">" else (lower, part)
        elif part.op != EQUAL or isinstance(part.value, datetime | tuple):
            return None
        elif part.field in _OF_SERIES and part.field not in equal:
            equal[part.field] = str(part.value)
        elif part.field == "message_id" and message_id is None:
            message_id = stored_id(str(part.value))
        elif part.metadata_key is not None and part.metadata_key not in metadata:
            metadata[part.metadata_key] = part.value
        else:
            return None
    return Question(equal, metadata, _window(lower, upper), message_id)


def _window(lower: Clause | None, upper: Clause | None) -> Window:
    return Window(
        start=lower.value if lower and isinstance(lower.value, datetime) else None,
        end=upper.value if upper and isinstance(upper.value, datetime) else None,
        without_start=lower is not None and lower.op == ">",
        with_end=upper is not None and upper.op == "<=",
    )
