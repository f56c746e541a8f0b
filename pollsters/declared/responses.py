"""Texts of answers as plain data: JSON, XML, or the text itself. Pure Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from metering.errors import PollError

DEEPEST = 100  # levels of nesting of an XML document


def read(text: str, handlers: Sequence[str]) -> Any:
    """What the first of the handlers that can makes of an answer. Raises `PollError`."""
    faults = []
    for name in handlers:
        try:
            return HANDLERS[name](text)
        except (ValueError, ParseError, DefusedXmlException, RecursionError) as exc:
            faults.append(f"no {name}: {str(exc)[:200]}")
    raise PollError("; ".join(faults))


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON's")


def _xml(text: str) -> dict[str, Any]:
    """An element is its text, or a mapping: its attributes as ``@name``, its text as ``#text``, elements by name.

    Elements of one name become a list. Namespaces are left out. No entities, and nothing from elsewhere.
    """
    root = ElementTree.fromstring(text, forbid_dtd=True)
    return {_name(root.tag): _element(root, 0)}


def _element(element: Element, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels of elements")
    told: dict[str, Any] = {f"@{_name(name)}": value for name, value in element.attrib.items()}
    for part in element:
        name, value = _name(part.tag), _element(part, depth + 1)
        if name not in told:
            told[name] = value
        elif isinstance(told[name], list):
            told[name].append(value)
        else:
            told[name] = [told[name], value]
    text = (element.text or "").strip()
    if not told:
        return text or None
    return {**told, "#text": text} if text else told


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _text(text: str) -> list[dict[str, str]]:
    return [{"out": text}]


HANDLERS: Mapping[str, Callable[[str], Any]] = {"json": _json, "xml": _xml, "text": _text}
