"""Files of definitions in YAML: each sound entry, and for every other its faults, by file and line. Pure Python.

What a definition means is its reader's business (pollsters, meters of notifications); how a file is found, opened,
checked against a schema, and its faults told, is the same for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from metering import yaml_lines
from metering.yaml_lines import BadYAML, Part

SUFFIXES = (".yaml", ".yml")
LARGEST = 1 << 20  # bytes of a file

Definition_co = TypeVar("Definition_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Declared(Generic[Definition_co]):
    """One entry of a file: a definition, or what is wrong with it."""

    name: str  # as the entry says, or where it stands
    where: str  # file:line
    definition: Definition_co | None
    fault: str | None = None

    @property
    def file_and_line(self) -> tuple[str, str]:
        """Where it stands, as `manage.py plugins` shows it: in the place of a package, and of its version."""
        file, _, line = self.where.rpartition(":")
        return (file, f"line {line}") if file else (self.where, "")


def files_of(folders: Iterable[Path]) -> Iterator[Path | Declared[Any]]:
    """Every file of these folders, by name; a folder that is not there is a fault of its own."""
    for folder in folders:
        try:
            yield from sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
        except OSError as exc:
            yield Declared(str(folder), str(folder), None, f"{folder} cannot be read: {exc.strerror}")


def read(file: Path) -> Part | Declared[Any]:
    """The document in a file, or what is wrong with it as a whole."""
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        return yaml_lines.read(file.read_text(encoding="utf-8"))
    except BadYAML as exc:
        return refused(file, exc.line, str(exc))
    except (OSError, ValueError, RecursionError) as exc:
        return refused(file, 1, str(exc))


def refused(file: Path, line: int, *faults: str, name: object = None) -> Declared[Any]:
    """An entry, or a file, that cannot be used; it is shown by the name that it gives itself, if that can be shown."""
    shown = name[:200] if isinstance(name, str) and name.isprintable() and name else f"{file.name}:{line}"
    said = [fault if fault.startswith(f"{file}:") else f"{file}:{line}: {fault}" for fault in faults]
    return Declared(shown, f"{file}:{line}", None, "; ".join(said))


def faults_of_form(part: Part, validator: Any, secret: Iterable[str] = ()) -> Iterator[tuple[int, str]]:
    """How an entry breaks its schema, each fault with its line; values under ``secret`` keys are never shown."""
    from jsonschema.exceptions import best_match  # noqa: PLC0415 # only who has definitions loads it

    for key, line in part.repeated:
        yield line, f"the key {key!r} comes twice"
    for error in sorted(
        validator.iter_errors(part.value), key=lambda error: [str(step) for step in error.absolute_path]
    ):
        yield from _told(part, best_match([error]) or error, frozenset(secret))


def _told(part: Part, error: Any, secret: frozenset[str]) -> Iterator[tuple[int, str]]:
    path = tuple(error.absolute_path)
    label = ".".join(str(step) for step in path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        for key in (key for key in error.instance if key not in known):
            yield line_of(part, (*path, key)), f"unknown key {'.'.join([*map(str, path), key])!r}"
        return
    message = f"it does not fit ({error.validator})" if secret.intersection(map(str, path)) else error.message[:300]
    yield line_of(part, path), f"{label}: {message}" if label else message


def line_of(part: Part, path: Iterable[str | int]) -> int:
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
