"""JSONPath, compiled once: a plain path becomes a walk over its keys, anything else is left to jsonpath-ng.

Most paths of an operator's definitions are plain (``payload.flavor.vcpus``, ``payload.ips[0]``,
``payload.'nova_object.data'.uuid``), and a walk costs a hundredth of what the library's search does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Accessor = Callable[[Any], list[Any]]

LONGEST = 1_000  # characters of a path

_QUOTED = r"'(?P<single>[^'\\]+)'|\"(?P<double>[^\"\\]+)\""
_FIRST = re.compile(rf"(?P<name>[A-Za-z_][A-Za-z0-9_-]*)|{_QUOTED}")
_NEXT = re.compile(rf"\.(?:{_FIRST.pattern})|\[(?P<place>[0-9]{{1,6}})\]")


class BadPath(ValueError):
    """A text is no JSONPath."""


def accessor(path: str) -> Accessor:
    """A function that finds every value that the path leads to, in order; none is no error. Raises `BadPath`.

    What it found may be null: that is a value as well.
    """
    if len(path) > LONGEST:
        raise BadPath(f"a path has at most {LONGEST} characters")
    steps = plain_steps(path)
    return _searching(path) if steps is None else _walking(steps)


def plain_steps(path: str) -> tuple[str | int, ...] | None:
    """The keys and places of a path that has nothing else in it; None of any other."""
    steps: list[str | int] = []
    text, form = path.removeprefix("$."), _FIRST
    while text:
        found = form.match(text)
        if found is None:
            return None
        groups = found.groupdict()
        place = groups.get("place")
        steps.append(int(place) if place else groups["name"] or groups["single"] or groups["double"])
        text, form = text[found.end() :], _NEXT
    return tuple(steps) or None


def _walking(steps: tuple[str | int, ...]) -> Accessor:
    if all(isinstance(step, str) for step in steps):
        return _walking_objects(steps)

    def walk(document: Any) -> list[Any]:
        for step in steps:
            if isinstance(step, str):
                if not isinstance(document, dict) or step not in document:
                    return []
            elif not isinstance(document, list) or step >= len(document):
                return []
            document = document[step]
        return [document]

    return walk


def _walking_objects(keys: tuple[Any, ...]) -> Accessor:
    """Of keys only, as nearly every path is: what is no object on the way has no keys."""

    def walk(document: Any) -> list[Any]:
        try:
            for key in keys:
                document = document[key]
        except (KeyError, TypeError, IndexError):
            return []
        return [document]

    return walk


def _searching(path: str) -> Accessor:
    # Only who has such a path needs the library.
    from jsonpath_ng.exceptions import JSONPathError  # noqa: PLC0415
    from jsonpath_ng.ext.parser import parse  # noqa: PLC0415

    try:
        expression = parse(path)
    except (JSONPathError, ValueError, TypeError) as exc:
        raise BadPath(f"{path[:80]!r} is no JSONPath: {exc}") from exc

    def search(document: Any) -> list[Any]:
        return [match.value for match in expression.find(document)]

    return search
