"""``POST /v2/query/samples``: a filter of and, or and not, an order and a limit, understood."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import orjson

from api.arguments import as_text
from api.complex_schema import COLUMNS, OPERATORS, check_filter, check_order, not_valid
from api.errors import Fault, invalid_input, not_supported, unknown_argument
from api.filters import DEEPEST, read_timestamp
from api.permissions import check_projects
from metering.models import Caller
from metering.models.complex import ComplexQuery
from metering.models.expressions import EQUAL, IN, MATCHES, METADATA, OPPOSITES, UNEQUAL, Clause, Expression, Junction
from metering.models.expressions import clauses as clauses_of

PARTS = ("filter", "orderby", "limit")
MOST_ROWS = 10_000  # of an answer, which is put together before it is sent
LONGEST_PATTERN = 256  # characters of a regular expression

_TIMES = ("timestamp", "recorded_at")


def read_complex_query(body: Any, caller: Caller, limit: int) -> ComplexQuery:
    """What the body of a request asks; ``limit`` where it says none. Raises a 400 or 401 with the reason."""
    given = {} if body is None else body
    if not isinstance(given, dict):
        raise Fault("The body of the request must be a JSON object")
    for name in given:
        if name not in PARTS:
            raise unknown_argument(name)
    expression = _filter(given.get("filter"))
    if expression is not None:
        check_projects(caller, _projects(expression))
    return ComplexQuery(_limit(given.get("limit"), limit), expression, _order(given.get("orderby")))


def _projects(expression: Expression) -> list[str]:
    return [
        as_text(value) for clause in clauses_of(expression) if clause.field == "project_id" for value in clause.values
    ]


def _limit(given: Any, default: int) -> int:
    if given is None:
        return default
    try:
        if isinstance(given, bool | float):
            raise ValueError(f"{given} is no whole number")
        limit = int(given)
    except (ValueError, TypeError) as exc:
        raise invalid_input("limit", as_text(given)[:100], f"unable to convert to int. Error: {exc}") from exc
    if limit <= 0:
        raise Fault("Limit must be positive")
    if limit > MOST_ROWS:
        raise invalid_input("limit", limit, f"It may be {MOST_ROWS} at most: ask for less time at once")
    return limit


def _filter(text: Any) -> Expression | None:
    if text is None:
        return None
    value = _json("filter", text, "Filter expression")
    check_filter(value)
    return _expression(value, negated=False)


def _order(text: Any) -> list[tuple[str, bool]]:
    if text is None:
        return []
    value = _json("orderby", text, "Order-by expression")
    check_order(value)
    return [(COLUMNS[name], way.lower() == "desc") for item in value for name, way in item.items()]


def _json(name: str, text: Any, what: str) -> Any:
    if not isinstance(text, str):
        raise invalid_input(name, as_text(text)[:100], "It must be JSON, written as a text")
    try:
        return orjson.loads(text)
    except ValueError as exc:
        raise not_valid(what, str(exc)) from exc


def _expression(value: dict[str, Any], *, negated: bool) -> Expression:
    """A filter that fits its schema; where it is negated, as the opposite of each of its parts."""
    [(operator, inner)] = value.items()
    word = operator.lower()
    if word == "not":
        return _expression(inner, negated=not negated)
    if word in ("and", "or"):
        parts = tuple(_expression(part, negated=negated) for part in inner)
        return Junction((word == "and") != negated, parts)
    [(name, operand)] = inner.items()
    if word == "in":
        return _membership(name, operand, negated=negated)
    op = OPERATORS[word]
    return _clause(name, OPPOSITES[op] if negated else op, operand)


def _membership(name: str, operands: list[Any], *, negated: bool) -> Expression:
    if name.startswith(METADATA):
        raise not_supported("The operator in for metadata")
    if negated:
        return Junction(of_all=True, parts=tuple(_clause(name, UNEQUAL, operand) for operand in operands))
    values = tuple(_value(name, IN, operand) for operand in operands)
    return Clause(COLUMNS[name], IN, values)


def _clause(name: str, op: str, operand: Any) -> Clause:
    if op in (MATCHES, OPPOSITES[MATCHES]):
        _check_pattern(name, operand)
    return Clause(name if name.startswith(METADATA) else COLUMNS[name], op, _value(name, op, operand))


def _check_pattern(name: str, pattern: Any) -> None:
    field = COLUMNS.get(name)
    if not isinstance(pattern, str) or field in ("volume", *_TIMES):
        raise invalid_input("op", "=~", f"unimplemented operator for {name}, or for what is no text")
    if len(pattern) > LONGEST_PATTERN:
        raise not_valid("Filter expression", f"a regular expression is longer than {LONGEST_PATTERN} characters")


def _value(name: str, op: str, operand: Any) -> str | int | float | bool | datetime:
    """The operand as the field's type."""
    if isinstance(operand, str) and "\0" in operand:
        raise invalid_input(name, operand.replace("\0", "\\0"), "It holds a NUL")
    if name.startswith(METADATA):
        if name.count(".") > DEEPEST or "\0" in name:
            raise invalid_input(
                "field", name.replace("\0", "\\0"), f"It names more than {DEEPEST} levels, or has a NUL"
            )
        checked: str | int | float | bool = operand
        return checked
    field = COLUMNS[name]
    if field == "volume":
        return _number(name, operand)
    if field in _TIMES:
        return _time(operand)
    if not isinstance(operand, str):
        raise invalid_input(name, operand, "It is compared with a text")
    if field == "message_signature" and op in (EQUAL, UNEQUAL, IN):
        return operand.rpartition(":")[2]
    return operand


def _number(name: str, operand: Any) -> float:
    try:
        if isinstance(operand, bool):
            raise ValueError("a boolean is no number")
        number = float(operand)
        if not math.isfinite(number):
            raise ValueError(f"{number} is none")
    except (ValueError, OverflowError) as exc:
        raise invalid_input(name, operand, f"unable to convert to float. Error: {exc}") from exc
    return number


def _time(operand: Any) -> datetime:
    try:
        return read_timestamp(operand if isinstance(operand, str) else "")
    except Fault as exc:
        raise Fault(f"Failed to parse the timestamp value {as_text(operand)[:100]}") from exc
