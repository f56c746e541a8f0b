"""YAML whose parts know their lines, so that a fault of an operator's file can be found. Pure Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C reads ten times as fast


class BadYAML(ValueError):
    """A text is no YAML that we read; ``line`` is where that shows."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a YAML document: plain Python, the line where it begins, and its own parts."""

    value: Any
    line: int
    items: tuple[Part, ...] = ()  # of a list
    fields: Mapping[str, Part] = field(default_factory=dict)  # of a mapping
    repeated: tuple[tuple[str, int], ...] = ()  # keys of a mapping that came before, and where they come again


def read(text: str) -> Part:
    """The one document in the text; an empty one is None on line 1. Raises `BadYAML`."""
    try:
        node = _compose(text)
        return Part(None, 1) if node is None else _part(node, ())
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        said = ", ".join(part for part in (exc.context, exc.problem) if part)
        raise BadYAML(mark.line + 1 if mark else 1, said or "it is no YAML") from exc
    except yaml.YAMLError as exc:  # a character that YAML does not allow
        before = text[: getattr(exc, "position", 0)]
        raise BadYAML(before.count("\n") + 1, str(exc).splitlines()[0]) from exc


def _compose(text: str) -> Any:
    try:
        return yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, UnicodeError):  # of which the slow one tells better where
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _part(node: yaml.Node, above: tuple[yaml.Node, ...]) -> Part:
    line = node.start_mark.line + 1
    if node in above:
        raise BadYAML(line, "an alias of what it stands in")
    within = (*above, node)
    if isinstance(node, yaml.SequenceNode):
        items = tuple(_part(item, within) for item in node.value)
        return Part([item.value for item in items], line, items)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, line, within)
    try:
        return Part(SafeConstructor().construct_object(node), line)
    except ValueError as exc:  # 2026-13-45 looks like a date
        raise BadYAML(line, str(exc)) from exc


def _mapping(node: yaml.MappingNode, line: int, within: tuple[yaml.Node, ...]) -> Part:
    fields: dict[str, Part] = {}
    repeated: list[tuple[str, int]] = []
    for key_node, value_node in node.value:
        key, key_line = str(_part(key_node, within).value), key_node.start_mark.line + 1
        if key in fields:
            repeated.append((key, key_line))
        value = _part(value_node, within)
        # An empty value begins where the next line does: its key tells better where it is.
        fields[key] = value if value.value is not None else Part(None, key_line)
    return Part({key: part.value for key, part in fields.items()}, line, fields=fields, repeated=tuple(repeated))
