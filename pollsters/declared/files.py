"""Files of declared pollsters: each sound one, and for every other its faults, by file and line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from jsonschema import Draft202012Validator

from metering import definition_files
from metering.definition_files import faults_of_form, line_of, refused
from metering.yaml_lines import Part
from pollsters.declared.definitions import Definition, faults
from pollsters.declared.schema import DEFINITION

_SECRET = ("authentication_parameters", "headers")  # their values are never shown
_VALIDATOR = Draft202012Validator(DEFINITION)

Declared = definition_files.Declared[Definition]


def of_folders(folders: Iterable[Path]) -> Iterator[Declared]:
    """Every entry of every file of these folders, by file name; a folder that is not there is a fault of its own."""
    for file in definition_files.files_of(folders):
        if isinstance(file, Path):
            yield from of_file(file)
        else:
            yield file


def of_file(file: Path) -> Iterator[Declared]:
    """Every entry of a file, in its order."""
    document = definition_files.read(file)
    if not isinstance(document, Part):
        yield document
        return
    entries = document.items or ((document,) if document.fields else ())
    if not entries:
        yield refused(file, document.line, "it must hold a list of definitions")
    for part in entries:
        yield _entry(file, part)


def _entry(file: Path, part: Part) -> Declared:
    told = part.value
    if found := sorted(_faults(part)):
        name = told.get("name") if isinstance(told, dict) else None
        return refused(file, part.line, *(f"{file}:{line}: {fault}" for line, fault in found), name=name)
    return definition_files.Declared(told["name"], f"{file}:{part.line}", Definition.read(told))


def _faults(part: Part) -> Iterator[tuple[int, str]]:
    """What is wrong with an entry, each with its line: its form first, and when that is right, its sense."""
    wrong = list(faults_of_form(part, _VALIDATOR, _SECRET))
    yield from wrong
    if len(wrong) == len(part.repeated):
        for key, fault in faults(part.value):
            yield line_of(part, (key,)), f"{key}: {fault}"
