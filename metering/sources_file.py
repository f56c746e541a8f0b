"""The file of polling sources: its form, and every fault of one, by line (docs/sources.md). Pure Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from metering import yaml_lines
from metering.yaml_lines import BadYAML, Part

LONGEST_INTERVAL = 86_400  # seconds
KINDS = ("endpoint:", "region:", "cloud:")
_KEYS = ("name", "interval", "meters", "discovery")
# What Ceilometer's files have, and why ours do not.
_NOT_HERE = {
    "sinks": "every sample goes to the store, and from there to whoever wants it",
    "resources": "a pollster's own options say what it reads (see manage.py plugins)",
    "counters": "it is called 'meters'",
    "transformers": "rates and totals are made when somebody asks (statistics)",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One source as the file has it, found to be sound."""

    name: str
    interval: int | None  # None: METERING_POLL_INTERVAL
    meters: tuple[str, ...]
    discovery: tuple[str, ...]


class Fault(NamedTuple):
    """What is wrong, and where."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


def read(path: Path) -> tuple[list[Entry], list[str]]:
    """The entries of a file or, when anything is wrong with it, none of them and every fault, by line."""
    try:
        document = yaml_lines.read(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        return [], [f"it cannot be read: {exc}"]
    except BadYAML as exc:
        return [], [str(Fault(exc.line, str(exc)))]
    listed = document.fields.get("sources")
    if listed is None or not listed.items:
        return [], [str(Fault(document.line, "it must hold a list, 'sources', that is not empty"))]
    faults = [*_keys(document, "the file", ("sources",))]
    for number, part in enumerate(listed.items, 1):
        faults += _faults(number, part)
    faults += _same_names(listed.items)
    return ([] if faults else [_entry(part) for part in listed.items]), [str(fault) for fault in sorted(faults)]


def _keys(part: Part, whose: str, known: tuple[str, ...]) -> Iterator[Fault]:
    """Keys that mean nothing here, and keys that come twice."""
    for key, value in part.fields.items():
        if key not in known:
            why = f" ({_NOT_HERE[key]})" if key in _NOT_HERE else f" (known: {', '.join(known)})"
            yield Fault(value.line, f"{whose}: unknown key {key!r}{why}")
    for key, line in part.repeated:
        yield Fault(line, f"{whose}: the key {key!r} comes twice")


def _faults(number: int, part: Part) -> Iterator[Fault]:
    """What is wrong with one source."""
    if not isinstance(part.value, dict):
        yield Fault(part.line, f"source {number} must be a mapping with {', '.join(_KEYS)}")
        return
    name = part.value.get("name")
    label = f"source {name!r}" if isinstance(name, str) else f"source {number}"
    yield from _keys(part, label, _KEYS)
    if not _is_name(name):
        yield Fault(_line(part, "name"), f"source {number}: 'name' must be a text of at most 200 printable characters")
    interval = part.value.get("interval", 1)
    if isinstance(interval, bool) or not isinstance(interval, int) or not 1 <= interval <= LONGEST_INTERVAL:
        said = f"{label}: 'interval' must be whole seconds, from 1 to {LONGEST_INTERVAL}, not {interval!r}"
        yield Fault(_line(part, "interval"), said)
    yield from _meters(part, label)
    yield from _discovery(part, label)


def _line(part: Part, key: str) -> int:
    """Where the key's value stands, or, when it is missing, where its mapping begins."""
    return part.fields[key].line if key in part.fields else part.line


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip()) and name.isprintable() and len(name) <= 200


def _meters(part: Part, label: str) -> Iterator[Fault]:
    listed = part.fields.get("meters")
    if listed is None or not listed.items:
        yield Fault(
            _line(part, "meters"), f"{label}: 'meters' must be a list of names, globs and !exclusions, not empty"
        )
        return
    for item in listed.items:
        if not isinstance(item.value, str) or not item.value.removeprefix("!").strip():
            yield Fault(item.line, f"{label}: a meter must be a name, a glob or an !exclusion, not {item.value!r}")
    meters = [(item.value, item.line) for item in listed.items if isinstance(item.value, str)]
    everything = any(meter == "*" for meter, _ in meters)
    plain = [(meter, line) for meter, line in meters if meter != "*" and not meter.startswith("!")]
    excluded = [(meter, line) for meter, line in meters if meter.startswith("!")]
    if everything and plain:
        yield Fault(plain[0][1], f"{label}: {plain[0][0]!r} beside '*', which names all meters already")
    elif plain and excluded:
        said = f"{label}: {excluded[0][0]!r} beside inclusions; exclusions stand alone or with '*'"
        yield Fault(excluded[0][1], said)


def _discovery(part: Part, label: str) -> Iterator[Fault]:
    listed = part.fields.get("discovery")
    if listed is None:
        return
    if not listed.items:
        yield Fault(listed.line, f"{label}: 'discovery' must be a list, not empty; without it everything is asked")
    for item in listed.items:
        told = item.value if isinstance(item.value, str) else ""
        if not told.startswith(KINDS) or not told.partition(":")[2].strip():
            said = f"{label}: discovery must be one of {' '.join(KINDS)} and a name or glob, not {item.value!r}"
            yield Fault(item.line, said)


def _same_names(parts: tuple[Part, ...]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for part in parts:
        name = part.value.get("name") if isinstance(part.value, dict) else None
        if not isinstance(name, str):
            continue
        line = _line(part, "name")
        if name in first:
            yield Fault(line, f"the source on line {first[name]} has the name {name!r} as well")
        first.setdefault(name, line)


def _entry(part: Part) -> Entry:
    told = part.value
    return Entry(told["name"], told.get("interval"), tuple(told["meters"]), tuple(told.get("discovery", ())))
