"""What a definition may make of fields before it uses them: ``{fields: [...], plugin: {name: …, parameters: …}}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from collector.notification import parse_time

Conversion = Callable[[Sequence[Any]], Any]  # of one value of each field, None where it has none
Maker = Callable[[Sequence[str], Mapping[str, Any]], Conversion]


def make(told: Any, fields: Sequence[str]) -> Conversion:
    """The conversion that a definition names. Raises ValueError for an unknown one or wrong parameters."""
    name = told if isinstance(told, str) else told["name"]
    parameters = {} if isinstance(told, str) else told.get("parameters", {})
    if name not in CONVERSIONS:
        raise ValueError(f"there is no plugin {name!r} (there are: {', '.join(CONVERSIONS)})")
    maker, known = CONVERSIONS[name]
    if unknown := sorted(set(parameters) - known):
        raise ValueError(f"the plugin {name!r} has no parameter {', '.join(unknown)}")
    return maker(fields, parameters)


def _timedelta(fields: Sequence[str], _: Mapping[str, Any]) -> Conversion:
    """The seconds between two times, whichever is the earlier: two hosts' clocks may disagree."""
    if len(fields) != 2:
        raise ValueError("the plugin 'timedelta' takes exactly two fields")

    def seconds(values: Sequence[Any]) -> float | None:
        begin, end = values
        if not begin or not end:
            return None
        return abs((parse_time(end) - parse_time(begin)).total_seconds())

    return seconds


def _split(_: Sequence[str], parameters: Mapping[str, Any]) -> Conversion:
    """One segment of a text; None where it has not so many."""
    separator, segment = parameters.get("separator", "."), parameters.get("segment", 0)
    most = parameters.get("max_split") or -1
    if not isinstance(separator, str) or not separator:
        raise ValueError("the separator of the plugin 'split' must be a text")
    if not isinstance(segment, int) or not isinstance(most, int):
        raise ValueError("segment and max_split of the plugin 'split' must be whole numbers")

    def part(values: Sequence[Any]) -> str | None:
        whole = _first(values)
        if whole is None:
            return None
        segments = str(whole).split(separator, most)
        return segments[segment] if -len(segments) <= segment < len(segments) else None

    return part


def _map(_: Sequence[str], parameters: Mapping[str, Any]) -> Conversion:
    """Another value for each that a service says, such as a number for a state."""
    values, default = parameters.get("values"), parameters.get("default")
    exactly = parameters.get("case_sensitive", True)
    if not isinstance(values, dict) or not values:
        raise ValueError("the plugin 'map' needs values, an object that is not empty")
    known = {_folded(key, exactly=exactly): value for key, value in values.items()}

    def mapped(found: Sequence[Any]) -> Any:
        value = _first(found)
        return None if value is None else known.get(_folded(value, exactly=exactly), default)

    return mapped


def _bitfield(fields: Sequence[str], parameters: Mapping[str, Any]) -> Conversion:
    """A number whose bits say which fields are there, or hold which value."""
    initial, flags = parameters.get("initial_bitfield", 0), parameters.get("flags")
    if not isinstance(initial, int) or not isinstance(flags, list) or not flags:
        raise ValueError("the plugin 'bitfield' needs flags, a list, and a whole initial_bitfield")
    for flag in flags:
        if not isinstance(flag, dict) or flag.get("path") not in fields or not isinstance(flag.get("bit"), int):
            raise ValueError("each flag of the plugin 'bitfield' needs a bit, and a path that is one of the fields")
        if not 0 <= flag["bit"] < 53:  # beyond, a float says no longer which
            raise ValueError("a bit of the plugin 'bitfield' must be from 0 to 52")

    def bits(values: Sequence[Any]) -> int:
        found = dict(zip(fields, values, strict=True))
        result = initial
        for flag in flags:
            value = found[flag["path"]]
            if value is not None and ("value" not in flag or value == flag["value"]):
                result |= 1 << flag["bit"]
        return int(result)

    return bits


def _first(values: Sequence[Any]) -> Any:
    return next((value for value in values if value is not None and value != ""), None)


def _folded(value: Any, *, exactly: bool) -> str:
    return str(value) if exactly else str(value).lower()


CONVERSIONS: Mapping[str, tuple[Maker, frozenset[str]]] = {
    "bitfield": (_bitfield, frozenset({"initial_bitfield", "flags"})),
    "map": (_map, frozenset({"values", "default", "case_sensitive"})),
    "split": (_split, frozenset({"separator", "segment", "max_split"})),
    "timedelta": (_timedelta, frozenset()),
}
