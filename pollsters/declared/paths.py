"""Where a value stands in an answer, and what is made of it: ``flavor.vcpus | value * 2``."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any, Final

from pollsters.declared.evaluator import BadExpression, evaluate, parse


class Missing:
    """What a path leads to where nothing is."""

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Path:
    """Keys, joined by dots, then expressions on ``value``, each behind a bar. ``.`` is the whole."""

    text: str
    keys: tuple[str, ...]
    operations: tuple[ast.Expression, ...]

    @classmethod
    def parse(cls, text: str) -> Path:
        """Raises `BadExpression`."""
        head, *rest = split(text)
        if not head:
            raise BadExpression(f"{text!r} has no key before its first bar; the whole is '.'")
        operations = []
        for told in rest:
            tree = parse(told)
            if "value" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}:
                raise BadExpression(f"{told!r} does nothing with 'value'")
            operations.append(tree)
        return cls(text, () if head == "." else tuple(head.split(".")), tuple(operations))

    def of(self, whole: Any) -> Any:
        """The value, or `MISSING` where the keys lead to nothing. Raises `BadExpression`."""
        value = self.of_keys(whole)
        if value is MISSING:
            return MISSING
        for operation in self.operations:
            value = evaluate(operation, {"value": value})
        return value

    def of_keys(self, whole: Any) -> Any:
        """What the keys lead to, before any expression."""
        value = whole
        for key in self.keys:
            value = _step(value, key)
            if value is MISSING:
                break
        return value


def split(text: str) -> list[str]:
    """A text at its bars, but not at those within quotes or brackets."""
    parts: list[str] = []
    begin, depth, quote, escaped = 0, 0, "", False
    for place, letter in enumerate(text):
        if quote:
            if letter == quote and not escaped:
                quote = ""
            escaped = letter == "\\" and not escaped
        elif letter in "'\"" and parts:  # before the first bar stand keys, which may hold anything else
            quote, escaped = letter, False
        elif letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth -= 1
        elif letter == "|" and depth <= 0:
            parts.append(text[begin:place].strip())
            begin = place + 1
    return [*parts, text[begin:].strip()]


def _step(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return value.get(key, MISSING)
    if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return MISSING
