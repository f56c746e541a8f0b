"""Files of meters: each sound row, and for every other its faults, by file and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from collector.definitions.row import LITERAL, READ, event_types_of, lookup_of
from collector.definitions.schema import HEAD, ROW
from collector.definitions.values import every, is_path, leads_to_several, one
from collector.event_types import compiled, is_pattern, is_regex
from metering import definition_files
from metering.bounds import check_text
from metering.counters import Kind
from metering.definition_files import faults_of_form, line_of, refused
from metering.errors import MalformedMessage
from metering.yaml_lines import Part

SHIPPED = Path(__file__).parent.parent / "meters"

_ROW, _HEAD = Draft202012Validator(ROW), Draft202012Validator(HEAD)
_OF_THE_FILE = ("exchange",)  # keys at the head of a file that stand for each of its rows


@dataclass(frozen=True, slots=True)
class Definition:
    """A sound row, with what its file says for all of them."""

    told: Mapping[str, Any]
    exchanges: tuple[str, ...]
    nova_form: str | None  # metered only when nova's notifications are read in this form


Declared = definition_files.Declared[Definition]


@cache
def shipped() -> tuple[Declared, ...]:
    """The rows that come with us. They do not change while a process lives, and several of its parts ask for them."""
    return tuple(of_folders([SHIPPED]))


def of_folders(folders: Iterable[Path]) -> Iterator[Declared]:
    """Every row of every file of these folders, by file name."""
    for file in definition_files.files_of(folders):
        if isinstance(file, Path):
            yield from of_file(file)
        else:
            yield file


def of_file(file: Path) -> Iterator[Declared]:
    """Every row of a file, in its order. It is named by the file and its label, else its meter, else its line."""
    document = definition_files.read(file)
    if not isinstance(document, Part):
        yield document
        return
    if found := list(faults_of_form(document, _HEAD)):
        yield refused(file, document.line, *(f"{file}:{line}: {fault}" for line, fault in found))
        return
    taken: set[str] = set()
    for part in document.fields["meters" if "meters" in document.fields else "metric"].items:
        declared = _row(file, _completed(document, part), document, taken)
        taken.add(declared.name)
        yield declared


def _completed(document: Part, part: Part) -> Part:
    """A row with what its file says for all of them, where it says nothing itself."""
    if not isinstance(part.value, dict):
        return part
    head = {key: document.fields[key] for key in _OF_THE_FILE if key in document.fields}
    defaults = document.fields.get("defaults", Part({}, document.line))
    fields = {**head, **defaults.fields, **part.fields}
    return Part({key: inner.value for key, inner in fields.items()}, part.line, fields=fields, repeated=part.repeated)


def _row(file: Path, part: Part, document: Part, taken: set[str]) -> Declared:
    if "metric" in document.fields and isinstance(part.value, dict) and "event_type" in part.value:
        part.value["event_type"] = _expressions(part.value["event_type"])
    name = _name(file, part, taken)
    if found := sorted(_faults(part)):
        return refused(file, part.line, *(f"{file}:{line}: {fault}" for line, fault in found), name=name)
    told = part.value
    exchanges = (told["exchange"],) if isinstance(told["exchange"], str) else tuple(told["exchange"])
    definition = Definition(told, exchanges, document.value.get("nova_notifications"))
    return definition_files.Declared(name, f"{file}:{part.line}", definition)


def _expressions(event_types: Any) -> Any:
    """Under ``metric`` every event type is a regular expression."""
    listed = [event_types] if isinstance(event_types, str) else event_types
    return [f"/{text}/" for text in listed] if isinstance(listed, list) else event_types


def _name(file: Path, part: Part, taken: set[str]) -> str:
    told = part.value.get("label", part.value.get("name")) if isinstance(part.value, dict) else None
    if not isinstance(told, str) or not told.isprintable() or is_path(told):
        told = f"line-{part.line}"
    name = told[:200] if told.startswith(f"{file.stem}.") else f"{file.stem}.{told[:200]}"
    return f"{name}.line-{part.line}" if name in taken else name


def _faults(part: Part) -> Iterator[tuple[int, str]]:
    """What is wrong with a row, each with its line: its form first, and when that is right, its sense."""
    wrong = list(faults_of_form(part, _ROW))
    yield from wrong
    if len(wrong) == len(part.repeated):
        for key, fault in _faults_of_sense(part.value):
            yield line_of(part, key.split(".", 1)), f"{key}: {fault}"


def _faults_of_sense(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for event_type in event_types_of(told):
        if "[" in event_type and not is_regex(event_type):
            yield "event_type", f"{event_type!r} is exact or has * and ?; a regular expression stands between slashes"
        elif is_pattern(event_type):
            yield from _fault("event_type", compiled, event_type)
    if not is_path(told["type"]):
        yield from _fault("type", Kind, told["type"])
    for key in ("name", "unit"):
        yield from _fault(key, lambda text: check_text("it", text, empty=key == "unit"), told[key])  # noqa: B023 # called here
    lookup = lookup_of(told)
    for key in lookup:
        if key not in READ or key not in told:
            yield "lookup" if "lookup" in told else "multi", f"{key!r} is no field of this row"
    for key, value in _values(told):
        if key in LITERAL and not is_path(value):
            continue
        yield from _fault(key, every if key in lookup else one, value)
        if key not in lookup and leads_to_several(value) and not key.startswith("metadata"):
            yield key, "it leads to several values: name it in lookup"


def _values(told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((key, told[key]) for key in (*READ, "user_metadata") if told.get(key) is not None)
    yield from ((f"metadata.{key}", value) for key, value in told.get("metadata", {}).items())


def _fault(key: str, check: Any, value: Any) -> Iterator[tuple[str, str]]:
    try:
        check(value)
    except (ValueError, MalformedMessage) as exc:
        yield key, str(exc)
