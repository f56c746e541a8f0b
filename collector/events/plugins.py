"""What a trait's ``plugin`` makes of the values that its fields lead to.

Each takes its parameters when the definition is read, and raises ValueError for those that it cannot have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.notification import parse_time
from metering.errors import MalformedNotification

Found = Sequence[tuple[str, Any]]  # each value that is not null, with the field that led to it
Plugin = Callable[[Found], Any]  # None: there is no trait


def plugin(name: str, parameters: Mapping[str, Any]) -> Plugin:
    """The plugin of this name, told its parameters. Raises ValueError."""
    if name not in _PLUGINS:
        raise ValueError(f"there is no plugin {name!r} (known: {', '.join(_PLUGINS)})")
    return _PLUGINS[name](parameters)


def _known(parameters: Mapping[str, Any], *names: str) -> None:
    for name in parameters:
        if name not in names:
            raise ValueError(f"unknown parameter {name!r} (known: {', '.join(names) or 'none'})")


def _whole(parameters: Mapping[str, Any], name: str, default: int | None) -> int | None:
    value = parameters.get(name, default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    return value


@dataclass(frozen=True, slots=True)
class Split:
    """One part of a text, which is cut at a separator."""

    separator: str
    segment: int
    most: int  # cuts; -1: all

    @classmethod
    def told(cls, parameters: Mapping[str, Any]) -> Split:
        _known(parameters, "separator", "segment", "max_split")
        separator = parameters.get("separator", ".")
        if not isinstance(separator, str) or not separator:
            raise ValueError(f"separator must be a text, not {separator!r}")
        most = _whole(parameters, "max_split", None)
        return cls(separator, _whole(parameters, "segment", 0) or 0, -1 if most is None else most)

    def __call__(self, found: Found) -> Any:
        if not found:
            return None
        parts = str(found[0][1]).split(self.separator, self.most)
        return parts[self.segment] if -len(parts) <= self.segment < len(parts) else None


@dataclass(frozen=True, slots=True)
class Flag:
    """A bit that is set where a field has a value or, with ``value``, that value."""

    path: str
    bit: int
    value: Any
    any_value: bool


@dataclass(frozen=True, slots=True)
class Bitfield:
    """A number whose bits say which fields are there."""

    initial: int
    flags: tuple[Flag, ...]

    @classmethod
    def told(cls, parameters: Mapping[str, Any]) -> Bitfield:
        _known(parameters, "initial_bitfield", "flags")
        flags = parameters.get("flags")
        if not isinstance(flags, list) or not flags:
            raise ValueError("flags must be a list of path, bit and perhaps value, not empty")
        return cls(_whole(parameters, "initial_bitfield", 0) or 0, tuple(map(_flag, flags)))

    def __call__(self, found: Found) -> Any:
        bits = self.initial
        for flag in self.flags:
            if any(path == flag.path and (flag.any_value or value == flag.value) for path, value in found):
                bits |= 1 << flag.bit
        return bits


def _flag(told: Any) -> Flag:
    if not isinstance(told, dict) or not isinstance(told.get("path"), str):
        raise ValueError("a flag must have a path, which is one of the fields")
    _known(told, "path", "bit", "value")
    bit = _whole(told, "bit", None)
    if bit is None or not 0 <= bit < 63:
        raise ValueError("a flag's bit must be a whole number from 0 to 62")
    return Flag(told["path"], bit, told.get("value"), "value" not in told)


def _timedelta(parameters: Mapping[str, Any]) -> Plugin:
    _known(parameters)
    return seconds_between


def seconds_between(found: Found) -> float | None:
    """The seconds between two times, whichever comes first; None unless there are two."""
    if len(found) != 2:
        return None
    try:
        first, second = (parse_time(value) for _, value in found)
    except MalformedNotification:
        return None
    return abs((second - first).total_seconds())


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a list says for a value; a key of the list is compared with the value as text."""

    values: Mapping[str, Any]
    default: Any
    case_sensitive: bool

    @classmethod
    def told(cls, parameters: Mapping[str, Any]) -> Mapped:
        _known(parameters, "values", "default", "case_sensitive")
        values, exact = parameters.get("values"), parameters.get("case_sensitive", True)
        if not isinstance(values, dict) or not values:
            raise ValueError("values must be a mapping, not empty")
        if not isinstance(exact, bool):
            raise ValueError(f"case_sensitive must be true or false, not {exact!r}")
        known = {key if exact else key.lower(): value for key, value in values.items()}
        return cls(known, parameters.get("default"), exact)

    def __call__(self, found: Found) -> Any:
        if not found:
            return None
        key = str(found[0][1])
        return self.values.get(key if self.case_sensitive else key.lower(), self.default)


_PLUGINS: dict[str, Callable[[Mapping[str, Any]], Plugin]] = {
    "split": Split.told,
    "bitfield": Bitfield.told,
    "timedelta": _timedelta,
    "map": Mapped.told,
}
