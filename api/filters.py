"""The simple query: ``q.field``, ``q.op``, ``q.value``, ``q.type``, four lists that go together by place."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from api.arguments import Arguments, as_text, read_boolean
from api.errors import Fault, invalid_input, unknown_argument
from api.permissions import check_projects
from metering.identity import stored_id
from metering.models import Caller
from metering.models.questions import OneOf, Question, Scalar, Wanted, Window

ARGUMENTS = frozenset({"q.field", "q.op", "q.value", "q.type"})

OPERATORS = ("lt", "le", "eq", "ne", "ge", "gt", "in")
TYPES = ("integer", "float", "string", "boolean", "datetime")
COLUMNS = {  # of a series; a field's short name is its other name
    "user": "user_id",
    "project": "project_id",
    "resource": "resource_id",
    "source": "source",
    "meter": "meter",
}
TIME_FIELDS = ("timestamp", "search_offset")
METADATA = ("metadata.", "resource_metadata.")
MOST_VALUES = 1_000  # that a field may be one of
MOST_OF_METADATA = 50  # the same of a metadata key, each way to read which is looked up
MOST_CLAUSES = 2_000
DEEPEST = 32  # names in a metadata key, as many as metadata may nest

_LITERAL = re.compile(
    r"(?P<int>[+-]?(0|[1-9][0-9]{0,300}))"
    r"|(?P<float>[+-]?([0-9]{1,300}\.[0-9]{0,300}|\.[0-9]{1,300}|[0-9]{1,300}(?=[eE]))([eE][+-]?[0-9]{1,4})?)"
    r"|(?P<word>True|False|None)"
    r"|'(?P<single>[^'\\]*)'"
    r'|"(?P<double>[^"\\]*)"'
)
_WORDS: dict[str, Scalar] = {"True": True, "False": False, "None": None}


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields that a route's query may name beside metadata, by their short names."""

    columns: tuple[str, ...]
    others: tuple[str, ...] = ()
    has_time: bool = True

    @property
    def valid_keys(self) -> list[str]:
        return sorted(self.columns + self.others + (TIME_FIELDS if self.has_time else ()))


OWNERS = ("user", "project", "resource", "source")
METER_FIELDS = Fields(OWNERS, others=("unique",), has_time=False)
SAMPLE_FIELDS = Fields((*OWNERS, "meter"), others=("message_id",))
RESOURCE_FIELDS = Fields(OWNERS)


@dataclass(frozen=True, slots=True)
class Clause:
    """One line of a query, as it was given."""

    field: str
    value: str
    op: str = "eq"
    type: str | None = None

    def __repr__(self) -> str:  # the words of the original's error texts
        return f"<Query {self.field!r} {self.op} {self.value!r} {self.type}>"

    @property
    def key(self) -> str:
        """The field's short name: ``user`` and ``user_id`` are one."""
        return self.field.removesuffix("_id") if self.field in ("user_id", "project_id", "resource_id") else self.field

    @property
    def metadata_key(self) -> str | None:
        """The dotted key within the metadata; None for any other field."""
        return next((self.field[len(prefix) :] for prefix in METADATA if self.field.startswith(prefix)), None)


@dataclass(frozen=True, slots=True)
class Query:
    """A simple query, understood. ``others`` holds what no question to the ledger says."""

    question: Question
    others: Mapping[str, str] = field(default_factory=dict)


def read_query(arguments: Arguments, fields: Fields, caller: Caller) -> Query:
    """What the query asks. Of several clauses with one field the last holds; of those with ``in`` any.

    Raises a 400 or 401 with the reason.
    """
    clauses = read_clauses(arguments)
    check_projects(caller, (clause.value for clause in clauses if clause.key == "project"))
    equal: dict[str, Wanted] = {}
    metadata: dict[str, Scalar | OneOf] = {}
    others: dict[str, str] = {}
    for clause in clauses:
        _check(clause, fields, clauses)
        metadata_key = clause.metadata_key
        if metadata_key is not None:
            value = typed(clause)
            metadata[metadata_key] = _added(metadata.get(metadata_key), value) if clause.op == "in" else value
        elif clause.key in COLUMNS:
            is_null = clause.value == "None" and clause.key in ("user", "project")
            column, text = COLUMNS[clause.key], None if is_null else clause.value
            equal[column] = _added(equal.get(column), text) if clause.op == "in" else text
        elif clause.key not in TIME_FIELDS:
            others[clause.key] = clause.value
    _check_alternatives(clauses)
    message_id = others.pop("message_id", None)
    question = Question(
        equal=equal,
        metadata=metadata,
        window=_window(clauses),
        message_id=None if message_id is None else stored_id(message_id),
    )
    return Query(question, others)


def _added(known: Scalar | OneOf, value: Scalar) -> OneOf:
    """One value more, of those any of which will do."""
    return OneOf((*known, value)) if isinstance(known, OneOf) else OneOf((value,))


def read_clauses(arguments: Arguments, known: Sequence[str] = TYPES) -> list[Clause]:
    """The clauses of the URL's four lists and of the body."""
    fields, values = arguments.all("q.field"), arguments.all("q.value")
    ops, types = arguments.all("q.op"), arguments.all("q.type")
    longest = max(map(len, (fields, values, ops, types)))
    if longest + len(arguments.clauses) > MOST_CLAUSES:
        raise Fault(f"The query has more than {MOST_CLAUSES} clauses")
    rows = [
        {
            name: texts[place]
            for name, texts in (("field", fields), ("value", values), ("op", ops), ("type", types))
            if place < len(texts)
        }
        for place in range(longest)
    ]
    return [_clause(row, known) for row in (*rows, *arguments.clauses)]


def _clause(given: Any, known: Sequence[str]) -> Clause:
    if not isinstance(given, dict):
        raise invalid_input("q", given, "Each of its items must be an object")
    for name in given:
        if f"q.{name}" not in ARGUMENTS:
            raise unknown_argument(name)
    for name in ("field", "value"):
        if given.get(name) is None:
            raise invalid_input(name, None, "Mandatory field missing.")
    texts = {name: as_text(value) for name, value in given.items() if value is not None}
    for name, text in texts.items():
        if "\0" in text:
            raise invalid_input(name, text.replace("\0", "\\0"), "It holds a NUL")
    op, kind = texts.get("op") or "eq", texts.get("type") or None
    if op not in OPERATORS:
        raise invalid_input("op", op, f"Value should be one of: {', '.join(OPERATORS)}")
    if kind is not None and kind not in known:
        raise Fault(f"The data type {kind} is not supported. The supported data type list is: {list(known)}")
    return Clause(texts["field"], texts["value"], op, kind)


def _check(clause: Clause, fields: Fields, clauses: Iterable[Clause]) -> None:
    """Raises a 400 unless this route has the field, with this operator."""
    if clause.field in TIME_FIELDS:
        if not fields.has_time:
            raise unknown_argument(clause.field, "not valid for this resource")
        allowed: tuple[str, ...] = ("lt", "le", "gt", "ge") if clause.field == "timestamp" else ("eq",)
    elif clause.metadata_key is not None or clause.key in fields.columns:
        allowed = ("eq", "in")
    elif clause.key in fields.others:
        allowed = ("eq",)
    else:
        reason = f"unrecognized field in query: {list(clauses)}, valid keys: {fields.valid_keys}"
        raise unknown_argument(clause.key, reason)
    if clause.op not in allowed:
        raise invalid_input("op", clause.op, f"unimplemented operator for {clause.field}")
    if clause.field.count(".") > DEEPEST:
        raise invalid_input("field", clause.field, f"It names more than {DEEPEST} levels")


def _check_alternatives(clauses: Iterable[Clause]) -> None:
    """Raises a 400 where a field is to be one of several values and one at once, or one of very many."""
    counted = Counter(clause.key for clause in clauses if clause.op == "in")
    for key in counted.keys() & {clause.key for clause in clauses if clause.op != "in"}:
        raise invalid_input("op", "in", f"For {key} it may not stand beside another operator")
    for key, count in counted.items():
        most = MOST_OF_METADATA if key.startswith(METADATA) else MOST_VALUES
        if count > most:
            raise invalid_input("op", "in", f"It names more than {most} values of {key}")


def _window(clauses: Iterable[Clause]) -> Window:
    lower = upper = offset = None
    for clause in clauses:
        if clause.field == "search_offset":
            offset = clause
        elif clause.field == "timestamp" and clause.op in ("gt", "ge"):
            lower = clause
        elif clause.field == "timestamp":
            upper = clause
    if offset is not None and lower is None and upper is None:
        raise invalid_input("field", "search_offset", "search_offset cannot be used without timestamp")
    window = Window(
        start=None if lower is None else read_timestamp(lower.value),
        end=None if upper is None else read_timestamp(upper.value),
        margin=timedelta() if offset is None else _minutes(offset.value),
        without_start=lower is not None and lower.op == "gt",
        with_end=upper is not None and upper.op == "le",
    )
    try:
        window.condition()
    except OverflowError as exc:
        assert offset is not None  # noqa: S101 # without a margin nothing can overflow
        raise invalid_input("search_offset", offset.value, str(exc)) from exc
    return window


def read_timestamp(text: str) -> datetime:
    """A date or time in ISO 8601; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise invalid_input("timestamp", text, "invalid timestamp format") from exc


def _minutes(text: str) -> timedelta:
    try:
        return timedelta(minutes=int(text))
    except (ValueError, OverflowError) as exc:
        raise invalid_input("search_offset", text, f"unable to convert to int. Error: {exc}") from exc


def typed(clause: Clause) -> Scalar:
    """A metadata value: of the type that is said, else what a Python literal would be, else text."""
    if clause.type is None:
        return _literal(clause.value)
    try:
        return _converted(clause.value, clause.type)
    except ValueError as exc:
        text = f"Unable to convert the value {clause.value} to the expected data type {clause.type}."
        raise Fault(text) from exc


def _converted(text: str, kind: str) -> Scalar:
    if kind == "integer":
        return int(text)
    if kind == "float":
        number = float(text)
        if not math.isfinite(number):
            raise ValueError("JSON has no such number")
        return number
    if kind == "boolean":
        truth = read_boolean(text)
        if truth is None:
            raise ValueError("neither true nor false")
        return truth
    if kind == "datetime":
        moment = datetime.fromisoformat(text)
        naive = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
        return naive.isoformat()  # metadata holds times as text, and OpenStack writes them so
    return text


def _literal(text: str) -> Scalar:
    """As Python reads a number, True, False, None or a quoted text; anything else is the text itself."""
    found = _LITERAL.fullmatch(text.strip(" \t"))
    if found is None:
        return text
    if found["int"]:
        return int(found["int"])
    if found["float"]:
        number = float(found["float"])
        return number if math.isfinite(number) else text
    if found["word"]:
        return _WORDS[found["word"]]
    return found["single"] if found["double"] is None else found["double"]
