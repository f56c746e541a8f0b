"""Conditions on samples joined by and and or, as a complex query has them, in words of the database.

There is no negation: whoever reads a query turns it into the opposite operators, which hold for no null either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from django.db.models import BooleanField, CharField, DateTimeField, F, FloatField, Func, Q, TextField, Value
from django.db.models.functions import Cast

from metering.identity import stored_id
from metering.models.ledger import ResourceMetadata
from metering.models.queries import SampleQuerySet, places_of
from metering.models.questions import Scalar, metadata_condition, ways

EQUAL, UNEQUAL, MATCHES, MATCHES_NOT, IN = "=", "!=", "=~", "!~", "in"
OPPOSITES = {
    EQUAL: UNEQUAL, UNEQUAL: EQUAL, MATCHES: MATCHES_NOT, MATCHES_NOT: MATCHES,
    "<": ">=", ">=": "<", ">": "<=", "<=": ">",
}  # fmt: skip
METADATA = "metadata."  # before a dotted key
COLUMNS = {
    "source": "series__source",
    "meter": "series__meter",
    "type": "series__type",
    "unit": "series__unit",
    "resource_id": "series__resource_id",
    "user_id": "series__user_id",
    "project_id": "series__project_id",
    "volume": "volume",
    "timestamp": "ts",
    "recorded_at": "recorded_at",
    "message_id": "id_text",
    "message_signature": "signature_text",
    "resource_metadata": "metadata__body",
}
_LOOKUPS = {EQUAL: "exact", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte", MATCHES: "regex", IN: "in"}
_SQL = {UNEQUAL: " <> ", MATCHES_NOT: " !~ "}
_ALIASES: dict[str, Any] = {
    "id_text": Cast("message_id", TextField()),
    "signature_text": Func(F("signature"), Value("hex"), function="encode", output_field=CharField()),
}


@dataclass(frozen=True, slots=True)
class Clause:
    """A field of `COLUMNS`, or a metadata key, compared with a value of the field's type; ``in`` has several."""

    field: str
    op: str
    value: Scalar | datetime | tuple[Scalar | datetime, ...]

    @property
    def values(self) -> tuple[Scalar | datetime, ...]:
        return self.value if isinstance(self.value, tuple) else (self.value,)

    @property
    def metadata_key(self) -> str | None:
        return self.field[len(METADATA) :] if self.field.startswith(METADATA) else None


@dataclass(frozen=True, slots=True)
class Junction:
    """All of its parts, or any."""

    of_all: bool
    parts: tuple[Expression, ...]


Expression: TypeAlias = Clause | Junction


def clauses(expression: Expression) -> Iterator[Clause]:
    """Every clause of it."""
    if isinstance(expression, Clause):
        yield expression
        return
    for part in expression.parts:
        yield from clauses(part)


def fitting(samples: SampleQuerySet, expression: Expression | None) -> SampleQuerySet:
    """The samples of which this holds, with each of `COLUMNS`. Makes two queries where a message_id is named."""
    told = samples.alias(**_ALIASES)
    return told if expression is None else told.filter(_condition(expression, _places(expression)))


def _condition(expression: Expression, places: dict[str, Q]) -> Q:
    if isinstance(expression, Clause):
        return _clause(expression, places)
    joined = _condition(expression.parts[0], places)
    for part in expression.parts[1:]:
        condition = _condition(part, places)
        joined = joined & condition if expression.of_all else joined | condition
    return joined


def _clause(clause: Clause, places: dict[str, Q]) -> Q:
    if clause.metadata_key is not None:
        return Q(metadata_id__in=ResourceMetadata.objects.filter(_metadata(clause)).values("id"))
    if clause.field == "message_id" and clause.op in (EQUAL, IN):
        return _any(places[str(value)] for value in clause.values)
    column = COLUMNS[clause.field]
    if clause.op in _SQL:
        return Q(_Compared(F(column), _as_value(clause.value), arg_joiner=_SQL[clause.op]))
    return Q((f"{column}__{_LOOKUPS[clause.op]}", list(clause.values) if clause.op == IN else clause.value))


def _any(conditions: Iterable[Q]) -> Q:
    joined = Q()
    for condition in conditions:
        joined |= condition
    return joined


class _Compared(Func):
    """A comparison for which Django has no lookup that holds for no null."""

    template = "(%(expressions)s)"
    output_field: Any = BooleanField()


def _as_value(value: Any) -> Value:
    if isinstance(value, datetime):
        return Value(value, DateTimeField())
    return Value(value, FloatField() if isinstance(value, float) else TextField())


def _metadata(clause: Clause) -> Q:
    """On a metadata document: that it has the key with a value of the same type that compares so.

    Equality is found by the documents' index.
    """
    key, value = clause.metadata_key or "", clause.value
    if clause.op == EQUAL and not isinstance(value, tuple | datetime):
        return metadata_condition({key: value}, "document")
    said = json.dumps(value)
    test = {
        UNEQUAL: f"@ != {said} && @ != null",
        MATCHES: f"@ like_regex {said}",
        MATCHES_NOT: f"!(@ like_regex {said})",
    }.get(clause.op, f"@ {clause.op} {said}")
    paths = (".".join(["$", *map(json.dumps, names)]) for names in ways(key))
    return _any(Q(document__fits=f"strict {path} ? ({test})") for path in paths)


def _places(expression: Expression) -> dict[str, Q]:
    """Where the samples lie whose ids are named."""
    named = {
        str(value): stored_id(str(value))
        for clause in clauses(expression)
        if clause.field == "message_id" and clause.op in (EQUAL, IN)
        for value in clause.values
    }
    places = places_of(set(named.values())) if named else {}
    return {text: places[id_] for text, id_ in named.items()}
