"""Polling sources: which meters are read how often, and where. Pure Python; every process reads the same file."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from metering import sources_file
from metering.errors import BadSetting

DEFAULT = "default"


class Place(Protocol):
    """Where a central pollster asks."""

    @property
    def service(self) -> str: ...

    @property
    def region(self) -> str | None: ...

    @property
    def cloud(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A polling source: its meters are read every ``interval`` seconds.

    ``meters`` are names, shell globs, and exclusions that start with ``!``. An exclusion that matches
    wins; only exclusions mean all other meters. ``discovery`` narrows where central pollsters ask. What an
    ``earlier`` source reads is that one's alone.
    """

    name: str
    interval: int  # seconds
    meters: tuple[str, ...] = ("*",)
    discovery: tuple[str, ...] = ()  # endpoint:, region: and cloud:, each with a name or glob
    earlier: tuple[Source, ...] = ()  # those before it in the file

    def matches(self, meter: str) -> bool:
        """Whether its patterns name the meter, whoever reads it."""
        return _matches(self.meters, meter)

    def reaches(self, place: Place) -> bool:
        """Whether its discovery has central pollsters ask there."""
        return _reaches(self.discovery, place.service, place.region or "", place.cloud or "")

    def wants(self, meter: str) -> bool:
        """Whether this source has a compute host read the meter."""
        return self.matches(meter) and not any(source.matches(meter) for source in self.earlier)

    def wants_somewhere(self, meter: str) -> bool:
        """Whether this source may have a central pollster read the meter at some place."""
        everywhere = (source for source in self.earlier if not source.discovery)
        return self.matches(meter) and not any(source.matches(meter) for source in everywhere)

    def wants_at(self, meter: str, place: Place) -> bool:
        """Whether this source has a central pollster read the meter there."""
        return self._takes(meter, place) and not any(source._takes(meter, place) for source in self.earlier)

    def _takes(self, meter: str, place: Place) -> bool:
        return self.matches(meter) and self.reaches(place)


@lru_cache(maxsize=4096)
def _matches(patterns: tuple[str, ...], meter: str) -> bool:
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    included = [pattern for pattern in patterns if not pattern.startswith("!")]
    if any(fnmatch.fnmatchcase(meter, pattern) for pattern in excluded):
        return False
    return not included or any(fnmatch.fnmatchcase(meter, pattern) for pattern in included)


@lru_cache(maxsize=4096)
def _reaches(discovery: tuple[str, ...], service: str, region: str, cloud: str) -> bool:
    """One entry of each kind that is there must fit; a kind that is not there leaves everything in."""
    for kind, value in (("endpoint", service), ("region", region), ("cloud", cloud)):
        patterns = [pattern for name, _, pattern in (entry.partition(":") for entry in discovery) if name == kind]
        if patterns and not any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns):
            return False
    return True


def read(path: Path | None, interval: int) -> tuple[tuple[Source, ...], list[str]]:
    """The sources of a file, in its order, and everything that is wrong with it: then there are no sources.

    Without a file there is a single source of all meters at ``interval``, which is also that of a source that
    names none.
    """
    if path is None:
        return (Source(DEFAULT, interval),), []
    entries, faults = sources_file.read(path)
    if faults:
        return (), faults
    sources: list[Source] = []
    for entry in entries:
        sources.append(
            Source(entry.name, entry.interval or interval, entry.meters, entry.discovery, earlier=tuple(sources))
        )
    return tuple(sources), []


def load(path: Path | None, interval: int) -> tuple[Source, ...]:
    """The sources, as `read` tells. Raises `BadSetting` that names every fault of the file at once, by its line."""
    sources, faults = read(path, interval)
    if faults:
        raise BadSetting("\n  ".join([f"METERING_SOURCES_FILE {path}:", *faults]))
    return sources
