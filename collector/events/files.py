"""Files of event definitions: ours, then the operator's. A fault costs its own definition only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from collector.events import reading
from collector.events.definition import Definition
from metering import yaml_lines
from metering.environment import Environment
from metering.yaml_lines import BadYAML

SHIPPED = Path(__file__).parent / "definitions"
SUFFIXES = (".yaml", ".yml")
LARGEST = 1 << 20  # bytes of a file


def load(paths: Iterable[Path]) -> tuple[list[Definition], list[str]]:
    """Every sound definition, ours first, and every fault of the others, each with its file and line."""
    definitions: list[Definition] = []
    wrong: list[str] = []
    for file in _files((SHIPPED, *paths), wrong):
        found, told = of_file(file)
        definitions += found
        wrong += told
    return definitions, wrong


def faults(settings: Environment, environ: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the operator's files; nothing is asked of them while no event is kept."""
    if settings.events.kept or settings.events.definitions:
        yield from load(Path(path) for path in settings.events.definitions)[1]


def _files(paths: Iterable[Path], wrong: list[str]) -> Iterator[Path]:
    """The files of these folders, each by name, and what is named as a file."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        try:
            yield from sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        except OSError as exc:
            wrong.append(f"{path} cannot be read: {exc.strerror}")


def of_file(file: Path) -> tuple[list[Definition], list[str]]:
    """The definitions of a file, in their order, and the faults of those that are left out."""
    try:
        if file.stat().st_size > LARGEST:
            return [], [f"{file}: it is larger than {LARGEST} bytes"]
        document = yaml_lines.read(file.read_text(encoding="utf-8"))
    except BadYAML as exc:
        return [], [f"{file}:{exc.line}: {exc}"]
    except OSError as exc:
        return [], [f"{file} cannot be read: {exc.strerror}"]
    except (ValueError, RecursionError) as exc:
        return [], [f"{file}: {exc}"]
    if not document.items:
        return [], [f"{file}:{document.line}: it must hold a list of definitions"]
    definitions: list[Definition] = []
    told: list[str] = []
    for part in document.items:
        made, wrong = reading.definition(part, f"{file}:{part.line}")
        told += [f"{file}:{line}: {text}" for line, text in wrong]
        definitions += [made] if made is not None else []
    return definitions, told
