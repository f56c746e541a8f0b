"""What a complex query's filter and order may look like: JSON schemas, whose validator's words clients are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.protocols import Validator

from api.errors import Fault

COLUMNS = {  # as the original calls them, and the shorter names: to ours
    "source": "source",
    "counter_name": "meter",
    "meter": "meter",
    "counter_type": "type",
    "type": "type",
    "counter_unit": "unit",
    "unit": "unit",
    "counter_volume": "volume",
    "volume": "volume",
    "user_id": "user_id",
    "user": "user_id",
    "project_id": "project_id",
    "project": "project_id",
    "resource_id": "resource_id",
    "resource": "resource_id",
    "timestamp": "timestamp",
    "recorded_at": "recorded_at",
    "resource_metadata": "resource_metadata",
    "message_id": "message_id",
    "message_signature": "message_signature",
}
OPERATORS = {"=": "=", "!=": "!=", "<": "<", ">": ">", "<=": "<=", "=<": "<=", ">=": ">=", "=>": ">=", "=~": "=~"}
MOST_CLAUSES = 1_000  # values in a list count as clauses
DEEPEST = 64  # objects and lists within each other
_MOST_SAID = 600  # characters of the validator's text


def _one_of(words: Iterable[str], prefix: str = "") -> str:
    return prefix + "|".join(f"^{word}$" for word in words)


def _object_of_one(pattern: str, value: dict[str, Any]) -> dict[str, Any]:
    """An object with one key, of this pattern."""
    return {
        "type": "object",
        "patternProperties": {pattern: value},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


_FIELD = _one_of(COLUMNS)
_FILTER_FIELD = _FIELD + r"|^metadata\.[\S]+$"
_TEXT_OR_NUMBER = {"type": ["string", "number"]}
_FILTER = Draft7Validator(
    {
        "oneOf": [
            _object_of_one(
                _one_of(OPERATORS, "(?i)"), _object_of_one(_FILTER_FIELD, {"type": ["string", "number", "boolean"]})
            ),
            _object_of_one(
                "(?i)^in$", _object_of_one(_FILTER_FIELD, {"type": "array", "items": _TEXT_OR_NUMBER, "minItems": 1})
            ),
            _object_of_one("(?i)^and$|^or$", {"type": "array", "items": {"$ref": "#"}, "minItems": 2}),
            _object_of_one("(?i)^not$", {"$ref": "#"}),
        ]
    }
)
_ORDER = Draft7Validator(
    {
        "type": "array",
        "items": _object_of_one(_FIELD, {"type": "string", "pattern": _one_of(("asc", "desc"), "(?i)")}),
        "maxItems": len(COLUMNS),
    }
)


def check_filter(value: Any) -> None:
    """Raises a 400 for what is no filter, and for one that is too large or too deep to be asked."""
    _check_size(value)
    _check(_FILTER, value, "Filter expression")


def check_order(value: Any) -> None:
    """Raises a 400 for what is no order."""
    _check(_ORDER, value, "Order-by expression")


def not_valid(what: str, reason: str) -> Fault:
    """400: a filter or an order that cannot be understood."""
    return Fault(f"{what} not valid: {reason}")


def _check(validator: Validator, value: Any, what: str) -> None:
    error = next(iter(validator.iter_errors(value)), None)
    if error is not None:
        said = error.message
        if len(said) > _MOST_SAID:
            said = f"{said[: _MOST_SAID // 2]} … {said[-_MOST_SAID // 2 :]}"
        raise not_valid(what, said)


def _check_size(value: Any) -> None:
    """Level by level: a filter that nests ten thousand deep must end no stack."""
    level, clauses, depth = [value], 0, 0
    while level:
        depth += 1
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
            else:
                clauses += 1
        if clauses + len(inner) > 2 * MOST_CLAUSES:
            raise not_valid("Filter expression", f"it has more than {MOST_CLAUSES} clauses")
        if depth > DEEPEST:
            raise not_valid("Filter expression", f"it nests deeper than {DEEPEST}")
        level = inner
    if clauses > MOST_CLAUSES:
        raise not_valid("Filter expression", f"it has more than {MOST_CLAUSES} clauses")
