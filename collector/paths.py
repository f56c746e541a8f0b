"""JSONPath, compiled once: what a definition wants of a notification, read in some hundred nanoseconds.

Keys, indexes, ``[*]``, ``[?(@.key = 'value')]`` and plain arithmetic are read by closures made here; any other path
by jsonpath-ng, which means the same and takes a hundred times as long. Pure Python.
"""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import takewhile
from typing import Any

from metering.errors import BadPath

__all__ = ("LONGEST", "Accessor", "BadPath", "Value", "Values", "accessor", "first", "is_plain")

Values = Callable[[Any], list[Any]]  # all that a path leads to in a document, in its order
Value = Callable[[Any], Any]  # the first of these that is not null; None where there is none

Accessor = Values

LONGEST = 1_000  # characters of a path

_QUOTED = r"'[^'\\]*'|\"[^\"\\]*\""
_KEY = r"[A-Za-z_][\w-]*"  # a dash belongs to it: a minus stands apart
_NAME = rf"\.(?:{_KEY}|{_QUOTED})|\[(?:{_QUOTED})\]"
_STEP = re.compile(
    rf"(?P<name>{_NAME})|\[(?P<index>\d+)\]|(?P<every>\[\*\])"
    rf"|\[\?\(\s*@(?P<where>(?:{_NAME})+)\s*==?\s*(?P<value>{_QUOTED})\s*\)\]"
)
_TERM = re.compile(rf"\s*(?:(?P<literal>{_QUOTED})|(?P<number>\d+(?:\.\d+)?)|(?P<path>\$|(?P<bare>{_KEY})))")
_OPERATOR = re.compile(r"\s*([-+*/])\s*")
_PARTS = re.compile(rf"\.({_KEY})|\.?\[?({_QUOTED})\]?")
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@dataclass(frozen=True, slots=True)
class _Every:
    """Each element of a list, each value of an object."""


@dataclass(frozen=True, slots=True)
class _Where:
    """Those elements of a list in which some keys lead to this text."""

    of: Value
    text: str


_Step = str | int | _Every | _Where
_Term = str | float | tuple[_Step, ...]  # a text, a number, or the steps of a path
_EVERY = _Every()


def accessor(text: str) -> Values:
    """All values that a path leads to. Raises `BadPath` for what is no path."""
    terms, operators = _read(text)
    if not terms:
        return _foreign(text)
    if len(terms) == 1 and isinstance(terms[0], tuple):
        return _values(terms[0])
    return _computed([_values_of(term) for term in terms], [_OPERATORS[sign] for sign in operators])


def first(text: str) -> Value:
    """The first value that a path leads to, or None. Raises `BadPath` for what is no path."""
    terms, _ = _read(text)
    if len(terms) == 1 and isinstance(terms[0], tuple):
        return _first(terms[0])
    found = accessor(text)
    return lambda document: next((value for value in found(document) if value is not None), None)


def is_plain(text: str) -> bool:
    """Whether a path is read without jsonpath-ng."""
    return bool(_read(text)[0])


def _read(text: str) -> tuple[list[_Term], list[str]]:
    """The terms of a path and the operators between them; no terms where it is more than is read here."""
    if len(text) > LONGEST:
        raise BadPath(f"a path has at most {LONGEST} characters")
    terms: list[_Term] = []
    operators: list[str] = []
    place = 0
    while found := _TERM.match(text, place):
        place = found.end()
        if found["path"]:
            steps, place = _steps(text, place)
            terms.append((found["bare"], *steps) if found["bare"] else steps)
        else:
            terms.append(found["literal"][1:-1] if found["literal"] else float(found["number"]))
        if not text[place:].strip():
            break
        sign = _OPERATOR.match(text, place)
        if sign is None:
            return [], []
        operators.append(sign[1])
        place = sign.end()
    # Which of + and * comes first, and what brackets change, is left to who reads all of the language.
    whole = len(terms) == len(operators) + 1 and any(isinstance(term, tuple) for term in terms)
    return (terms, operators) if whole and (set(operators) <= {"+", "-"} or len(operators) == 1) else ([], [])


def _steps(text: str, place: int) -> tuple[tuple[_Step, ...], int]:
    steps: list[_Step] = []
    while found := _STEP.match(text, place):
        if found["name"]:
            steps += _names(found["name"])
        elif found["index"]:
            steps.append(int(found["index"]))
        elif found["every"]:
            steps.append(_EVERY)
        else:
            steps.append(_Where(_keyed(tuple(_names(found["where"]))), found["value"][1:-1]))
        place = found.end()
    return tuple(steps), place


def _names(text: str) -> Iterator[str]:
    for bare, quoted in _PARTS.findall(text):
        yield bare or quoted[1:-1]


def _first(steps: tuple[_Step, ...]) -> Value:
    """The same as the first of `_values`, without looking for the others."""
    keys = tuple(takewhile(lambda step: isinstance(step, str), steps))
    if len(keys) == len(steps):
        return _keyed(keys)
    outer, step, inner = _keyed(keys), steps[len(keys)], _first(steps[len(keys) + 1 :])
    if isinstance(step, int):

        def indexed(document: Any) -> Any:
            found = outer(document)
            return inner(found[step]) if isinstance(found, list) and step < len(found) else None

        return indexed

    def searched(document: Any) -> Any:
        for element in _step(outer(document), step):
            found = inner(element)
            if found is not None:
                return found
        return None

    return searched


def _keyed(keys: tuple[Any, ...]) -> Value:
    """Keys only, which nearly every path is, and nearly every one of these has two."""
    if len(keys) == 2:
        one, two = keys

        def pair(document: Any) -> Any:
            try:
                return document[one][two]
            except (KeyError, TypeError):  # not there, or what is there has no keys
                return None

        return pair

    def value(document: Any) -> Any:
        try:
            for key in keys:
                document = document[key]
        except (KeyError, TypeError):
            return None
        return document

    return value


def _values(steps: tuple[_Step, ...]) -> Values:
    if all(isinstance(step, str) for step in steps):

        def walk(document: Any) -> list[Any]:
            for key in steps:
                if not isinstance(document, dict) or key not in document:
                    return []
                document = document[key]
            return [document]

        return walk

    def values(document: Any) -> list[Any]:
        found = [document]
        for step in steps:
            found = [value for outer in found for value in _step(outer, step)]
        return found

    return values


def _step(outer: Any, step: _Step) -> list[Any]:
    if isinstance(step, str):
        return [outer[step]] if isinstance(outer, dict) and step in outer else []
    if isinstance(step, _Every):
        return outer if isinstance(outer, list) else list(outer.values()) if isinstance(outer, dict) else []
    if not isinstance(outer, list):
        return []
    if isinstance(step, int):
        return [outer[step]] if step < len(outer) else []
    return [element for element in outer if step.of(element) == step.text]


def _values_of(term: _Term) -> Values:
    return _values(term) if isinstance(term, tuple) else lambda _: [term]


def _computed(terms: list[Values], operators: list[Callable[[Any, Any], Any]]) -> Values:
    """Element by element; a term with one value goes with each of another's. What does not fit gives nothing."""

    def values(document: Any) -> list[Any]:
        lists = [term(document) for term in terms]
        count = max(len(found) for found in lists)
        rows = [found * count if len(found) == 1 else found for found in lists]
        if any(len(row) != count for row in rows):
            return []
        try:
            return [_chain(parts, operators) for parts in zip(*rows, strict=True)]
        except (TypeError, ArithmeticError):
            return []

    return values


def _chain(parts: tuple[Any, ...], operators: list[Callable[[Any, Any], Any]]) -> Any:
    if operators[0] is not operator.add and not all(isinstance(part, int | float) for part in parts):
        raise TypeError("only numbers are multiplied: a text would grow beyond all bounds")
    return reduce(lambda left, right: right[0](left, right[1]), zip(operators, parts[1:], strict=True), parts[0])


def _foreign(text: str) -> Values:
    # Only who writes such a path needs its library, and a process without one starts the faster.
    from jsonpath_ng.exceptions import JSONPathError  # noqa: PLC0415 # see above
    from jsonpath_ng.ext.parser import parse  # noqa: PLC0415 # see above

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            path = parse(text)
    except (JSONPathError, ValueError, RecursionError) as exc:
        raise BadPath(f"{text[:100]!r} is no JSONPath: {str(exc)[:200]}") from exc
    if not hasattr(path, "find"):
        raise BadPath(f"{text[:100]!r} is no JSONPath, but a constant")
    return lambda document: [found.value for found in path.find(document)]
