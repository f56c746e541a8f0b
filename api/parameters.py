"""Each parameter that an address or its query may hold, by name: what it means, and what it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from api.filters import COLUMNS, METADATA, OPERATORS, TYPES, Fields
from metering.models.figures import COUNTABLE, FUNCTIONS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NAME: Schema = {"type": "string", "minLength": 1, "pattern": r"^[^/\x00]+$"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """``schema`` is of one value; where there may be ``many``, the name is repeated."""

    text: str
    schema: Schema
    many: bool = False

    @property
    def whole(self) -> Schema:
        return {"type": "array", "items": self.schema} if self.many else self.schema


QUERY: Mapping[str, Parameter] = {
    "q.field": Parameter("What a clause is about. The n-th q.field, q.op, q.value, q.type are one.", _TEXT, many=True),
    "q.op": Parameter(
        "How the field compares with the value; without one: eq.",
        {"type": "string", "enum": ["", *OPERATORS]},
        many=True,
    ),
    "q.value": Parameter("What it is compared with.", _TEXT, many=True),
    "q.type": Parameter(
        "What type the value is of; without one, that of a literal of Python.",
        {"type": "string", "enum": ["", *TYPES]},
        many=True,
    ),
    "limit": Parameter("How many rows at most.", {"type": "integer", "minimum": 1, "default": 100}),
    "marker": Parameter("Where a page begins, as the Link of the page before says.", _TEXT),
    "unique": Parameter("Each meter once, whatever its resource.", {"type": "boolean", "default": False}),
    "meter_links": Parameter("0: no links to the meters of a resource.", {"type": "integer", "default": 1}),
    "period": Parameter(
        "Seconds of one period; 0: one row for all time.", {"type": "integer", "minimum": 0, "default": 0}
    ),
    "groupby": Parameter(
        "Rows of their own for each user_id, project_id, resource_id, source or value of metadata.<key>.",
        {"type": "string", "pattern": r"^(user_id|project_id|resource_id|source|(resource_)?metadata\..+)$"},
        many=True,
    ),
    "aggregate.func": Parameter(
        "The figures that are wanted, instead of avg, sum, count, min and max.",
        {
            "anyOf": [
                {"type": "string", "enum": [*sorted(FUNCTIONS), "cardinality", "percentile"]},
                {"type": "string", "pattern": rf"^(cardinality/({'|'.join(COUNTABLE)})|percentile/[0-9]{{1,2}})$"},
            ]
        },
        many=True,
    ),
    "aggregate.param": Parameter(
        f"Of the first functions, by place: what cardinality counts ({', '.join(COUNTABLE)}), a percentile (0 to 100).",
        _TEXT,
        many=True,
    ),
    "direct": Parameter("Store the samples before the answer.", {"type": "boolean", "default": False}),
}

PATH: Mapping[str, Parameter] = {
    "name": Parameter("The name of a meter.", _NAME),
    "message_id": Parameter("The message_id of a sample or an event.", _NAME),
    "resource_id": Parameter(
        "The id of a resource. A slash in it may be written as %2F or as it is; one at its very end needs a second.",
        {"type": "string", "minLength": 1, "pattern": r"^[^\x00]+$"},
    ),
    "event_type": Parameter("The name of an event type.", _NAME),
    "trait": Parameter("The name of a trait.", _NAME),
}

HEADERS: Mapping[str, Parameter] = {
    "Idempotency-Key": Parameter(
        "A name of your own for this post: a repetition under it stores nothing twice.",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    ),
}


def field_of(fields: Fields) -> Parameter:
    """``q.field`` of a route whose query has these fields."""
    names = sorted({*fields.valid_keys, *(COLUMNS[name] for name in fields.columns)})
    prefixes = "|".join(prefix.removesuffix(".") for prefix in METADATA)
    one_of = {"anyOf": [{"type": "string", "enum": names}, {"type": "string", "pattern": rf"^({prefixes})\..+$"}]}
    return replace(QUERY["q.field"], schema=one_of)
