"""Polling sources: which meters are read how often. Pure Python; every process reads the same file."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from metering.errors import BadSetting

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Source:
    """A polling source: its meters are read every ``interval`` seconds.

    ``meters`` are names, shell globs, and exclusions that start with ``!``. An exclusion that matches
    wins; only exclusions mean all other meters. A meter that an ``earlier`` source matches is that one's.
    """

    name: str
    interval: int
    meters: tuple[str, ...] = ("*",)
    earlier: tuple[tuple[str, ...], ...] = ()  # the meters of the sources before this one

    def matches(self, meter: str) -> bool:
        """Whether its patterns name the meter, whoever reads it."""
        return _matches(self.meters, meter)

    def wants(self, meter: str) -> bool:
        """Whether this source reads the meter."""
        return self.matches(meter) and not any(_matches(meters, meter) for meters in self.earlier)


@lru_cache(maxsize=4096)
def _matches(patterns: tuple[str, ...], meter: str) -> bool:
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    included = [pattern for pattern in patterns if not pattern.startswith("!")]
    if any(fnmatch.fnmatchcase(meter, pattern) for pattern in excluded):
        return False
    return not included or any(fnmatch.fnmatchcase(meter, pattern) for pattern in included)


def load(path: Path | None, interval: int) -> tuple[Source, ...]:
    """The sources of a file, in its order; without one, a single source of all meters at ``interval``.

    Raises `BadSetting` that names every fault of the file at once.
    """
    if path is None:
        return (Source(DEFAULT, interval),)
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise BadSetting(f"METERING_SOURCES_FILE {path}: {exc}") from exc
    entries = read.get("sources") if isinstance(read, dict) else None
    if not isinstance(entries, list) or not entries:
        raise BadSetting(f"METERING_SOURCES_FILE {path}: it must hold a list, 'sources', that is not empty")
    faults = [fault for number, entry in enumerate(entries, 1) for fault in _faults(number, entry)]
    if not faults:
        names = [entry["name"] for entry in entries]
        faults = [f"two sources have the name {name!r}" for name in dict.fromkeys(names) if names.count(name) > 1]
    if faults:
        raise BadSetting(f"METERING_SOURCES_FILE {path}: {'; '.join(faults)}")
    meters = [tuple(entry["meters"]) for entry in entries]
    return tuple(
        Source(entry["name"], entry.get("interval", interval), meters[place], tuple(meters[:place]))
        for place, entry in enumerate(entries)
    )


def _faults(number: int, entry: Any) -> list[str]:
    """What is wrong with one entry of the file."""
    if not isinstance(entry, Mapping):
        return [f"source {number} is no mapping"]
    label = f"source {number} ({entry.get('name')!r})"
    faults = [f"{label}: unknown key {key!r}" for key in entry if key not in ("name", "interval", "meters")]
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 200:
        faults.append(f"source {number}: 'name' must be a text of at most 200 characters, all printable")
    interval = entry.get("interval", 1)
    if isinstance(interval, bool) or not isinstance(interval, int) or not 1 <= interval <= 86_400:
        faults.append(f"{label}: 'interval' must be seconds, from 1 to 86400")
    meters = entry.get("meters")
    if not isinstance(meters, list) or not meters or not all(isinstance(m, str) and m.strip("!") for m in meters):
        return [*faults, f"{label}: 'meters' must be a list of names, globs and !exclusions"]
    plain = [meter for meter in meters if not meter.startswith("!") and meter != "*"]
    if plain and "*" in meters:
        faults.append(f"{label}: '*' beside other inclusions")
    if plain and len(plain) < len(meters) and "*" not in meters:
        faults.append(f"{label}: inclusions and exclusions together (use '*' with exclusions)")
    return faults
