"""Files of definitions: each sound one, and for every other its faults, by file and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from metering import yaml_lines
from metering.yaml_lines import BadYAML, Part
from pollsters.declared.definitions import Definition, faults
from pollsters.declared.schema import DEFINITION

SUFFIXES = (".yaml", ".yml")
LARGEST = 1 << 20  # bytes of a file
_SECRET = ("authentication_parameters", "headers")  # their values are never shown
_VALIDATOR = Draft202012Validator(DEFINITION)


@dataclass(frozen=True, slots=True)
class Declared:
    """One entry of a file: a definition, or what is wrong with it."""

    name: str  # as the entry says, or where it stands
    where: str  # file:line
    definition: Definition | None
    fault: str | None = None


def of_folders(folders: Iterable[Path]) -> Iterator[Declared]:
    """Every entry of every file of these folders, by file name; a folder that is not there is a fault of its own."""
    for folder in folders:
        try:
            files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
        except OSError as exc:
            yield Declared(str(folder), str(folder), None, f"{folder} cannot be read: {exc.strerror}")
            continue
        for file in files:
            yield from of_file(file)


def of_file(file: Path) -> Iterator[Declared]:
    """Every entry of a file, in its order."""
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        document = yaml_lines.read(file.read_text(encoding="utf-8"))
    except BadYAML as exc:
        yield _refused(file, exc.line, str(exc))
        return
    except (OSError, ValueError, RecursionError) as exc:
        yield _refused(file, 1, str(exc))
        return
    entries = document.items or ((document,) if document.fields else ())
    if not entries:
        yield _refused(file, document.line, "it must hold a list of definitions")
    for part in entries:
        yield _entry(file, part)


def _refused(file: Path, line: int, fault: str) -> Declared:
    return Declared(f"{file.name}:{line}", f"{file}:{line}", None, f"{file}:{line}: {fault}")


def _entry(file: Path, part: Part) -> Declared:
    told = part.value
    found = sorted(_faults(part))
    name = told.get("name") if isinstance(told, dict) else None
    if found:
        said = "; ".join(f"{file}:{line}: {fault}" for line, fault in found)
        shown = name[:200] if isinstance(name, str) and name.isprintable() else f"{file.name}:{part.line}"
        return Declared(shown, f"{file}:{part.line}", None, said)
    return Declared(told["name"], f"{file}:{part.line}", Definition.read(told))


def _faults(part: Part) -> Iterator[tuple[int, str]]:
    """What is wrong with an entry, each with its line: its form first, and when that is right, its sense."""
    for key, line in part.repeated:
        yield line, f"the key {key!r} comes twice"
    wrong = sorted(_VALIDATOR.iter_errors(part.value), key=lambda error: [str(step) for step in error.absolute_path])
    for error in wrong:
        yield from _told(part, best_match([error]) or error)
    if not wrong:
        for key, fault in faults(part.value):
            yield _line(part, (key,)), f"{key}: {fault}"


def _told(part: Part, error: ValidationError) -> Iterator[tuple[int, str]]:
    path = tuple(error.absolute_path)
    label = ".".join(str(step) for step in path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        for key in (key for key in error.instance if key not in known):
            yield _line(part, (*path, key)), f"unknown key {'.'.join([*map(str, path), key])!r}"
        return
    message = f"it does not fit ({error.validator})" if any(step in _SECRET for step in path) else error.message[:300]
    yield _line(part, path), f"{label}: {message}" if label else message


def _line(part: Part, path: Iterable[str | int]) -> int:
    """Where what a path leads to stands, or the nearest that stands above it."""
    line = part.line
    for step in path:
        if isinstance(step, int) and step < len(part.items):
            part = part.items[step]
        elif isinstance(step, str) and step in part.fields:
            part = part.fields[step]
        else:
            break
        line = part.line
    return line
