"""The form of a page: a field for each parameter that its view takes, filled with what was asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from api.blanks import AGGREGATE, CLAUSE
from api.filters import Fields
from api.parameters import QUERY, Parameter, field_of

LABELS = {
    "q.field": "Field",
    "q.op": "Operator",
    "q.value": "Value",
    "q.type": "Type",
    "aggregate.func": "Function",
    "aggregate.param": "Of",
    "groupby": "Group by",
    "meter_links": "Links to meters",
}
OPERATORS = {"": "=", "eq": "=", "ne": "≠", "lt": "<", "le": "≤", "gt": ">", "ge": "≥", "in": "one of"}
UNSHOWN = ("marker",)  # a link to the next page holds it
_SPARE = 2  # empty rows for more


@dataclass(frozen=True, slots=True)
class Input:
    """One control: a choice, a number or a text, whose label says what it is also to who cannot see it."""

    name: str
    label: str
    id: str
    value: str
    hint: str
    kind: str = "text"  # or number, choice
    choices: tuple[tuple[str, str], ...] = ()
    known: tuple[str, ...] = ()  # values that are offered, while others may be typed
    least: int | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """``groups`` are tables of rows that belong together: clauses, aggregates, groups."""

    groups: tuple[tuple[str, tuple[tuple[Input, ...], ...]], ...]
    single: tuple[Input, ...]


def form_of(
    known: Iterable[str], own: Mapping[str, Parameter], fields: Fields | None, asked: Mapping[str, list[str]]
) -> Form | None:
    """The form of a view that takes these parameters, ``own`` as it means them itself; None where it takes none."""
    described = {**QUERY, **own}
    if fields is not None:
        described["q.field"] = field_of(fields)
    names = [name for name in sorted(known) if name in described and name not in UNSHOWN]
    if not names:
        return None
    groups = []
    for title, columns in (("Where", CLAUSE), ("Figures", AGGREGATE), ("Groups", ("groupby",))):
        if set(columns) <= set(names):
            groups.append((title, tuple(_rows(columns, described, asked))))
    grouped = {*CLAUSE, *AGGREGATE, "groupby"}
    single = tuple(_input(name, 0, asked.get(name, [""])[0], described[name]) for name in names if name not in grouped)
    return Form(tuple(groups), single)


def _rows(
    columns: tuple[str, ...], described: Mapping[str, Parameter], asked: Mapping[str, list[str]]
) -> Iterable[tuple[Input, ...]]:
    count = max(len(asked.get(name, [])) for name in columns) + _SPARE
    for place in range(count):
        yield tuple(_input(name, place, _nth(asked.get(name, []), place), described[name]) for name in columns)


def _nth(values: list[str], place: int) -> str:
    return values[place] if place < len(values) else ""


def _input(name: str, place: int, value: str, parameter: Parameter) -> Input:
    schema = parameter.schema
    label = LABELS.get(name, name.replace("_", " ").capitalize())
    common: dict[str, Any] = {
        "name": name,
        "label": label if place == 0 else f"{label} {place + 1}",
        "id": f"{name.replace('.', '-')}-{place}",
        "value": value,
        "hint": parameter.text,
    }
    if schema.get("type") == "boolean":
        return Input(**common, kind="choice", choices=_with(value, (("", "–"), ("true", "yes"), ("false", "no"))))
    if "enum" in schema:
        shown = OPERATORS if name == "q.op" else {}
        offered = tuple((text, shown.get(text, text or "–")) for text in ("", *schema["enum"]) if text != "eq" or value)
        return Input(**common, kind="choice", choices=_with(value, tuple(dict(offered).items())))
    if schema.get("type") == "integer":
        return Input(**common, kind="number", least=schema.get("minimum"))
    return Input(**common, known=_known(name, parameter))


def _with(value: str, choices: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The choices, and what was asked if it is none of them: the form keeps what it was given."""
    return choices if value in dict(choices) else (*choices, (value, value))


def _known(name: str, parameter: Parameter) -> tuple[str, ...]:
    if name == "groupby":
        return ("resource_id", "project_id", "user_id", "source")
    if name == "aggregate.param":
        return ("resource_id", "project_id", "user_id")
    names = (option["enum"] for option in parameter.schema.get("anyOf", ()) if "enum" in option)
    return tuple(next(names, ()))
