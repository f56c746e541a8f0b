"""A pollster that a definition declares."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from metering.counters import Counter, Meter
from metering.errors import PollError
from pollsters.declared import pages
from pollsters.declared.asking import COMMAND, WEB, CatalogueWay, CommandWay, Endpoints, Way, WebWay
from pollsters.declared.definitions import Definition, Extra, Question
from pollsters.declared.evaluator import BadExpression
from pollsters.declared.extras import Extras, fields_of
from pollsters.declared.paths import MISSING, Path
from pollsters.runner import Node, Place

KEY_MANAGER = "key-manager"
_LAST_PART = re.compile(r"[\w.:-]{1,200}")  # of a meter's name, as an answer gives it


@dataclass(slots=True)
class _Faults:
    """What could not be read of one answer."""

    count: int = 0
    first: str = ""

    def add(self, what: str) -> None:
        self.count += 1
        self.first = self.first or what


@dataclass
class DeclaredPollster:
    """Asks what its definition says; a central pollster, and where it asks no catalogue, one of a node too."""

    definition: Definition
    endpoints: Endpoints
    modules: tuple[str, ...] = ()  # METERING_POLLSTER_MODULES
    _until: float = field(default=math.inf, init=False)

    def __post_init__(self) -> None:
        self.meters: tuple[Meter, ...] = (self.definition.meter,)
        self._commands = CommandWay()
        self._catalogue = CatalogueWay(self.endpoints)
        self._web = WebWay(self.definition.authentication, self.modules, self._parameters)
        self._unsigned = WebWay()
        self._extras = Extras(self.definition.extras, self._extra_way)

    def begin(self, until: float) -> None:
        self._until = until
        if self.asks_catalogue:
            self.endpoints.begin(until)

    def places(self) -> Iterable[Place]:
        question = self.definition.question
        if question.service is not None:
            return self.endpoints.places(question.service)
        return [self._place_of(question)]

    def poll(self, place: Place) -> Iterator[Counter]:
        """A counter for each entry, or for each element of its list; one that cannot be read costs only itself."""
        faults = _Faults()
        question = self.definition.question
        for entry in pages.entries(question, self._way(question), place, str(question.target), self._until):
            try:
                counters = list(self._counters(entry, place, faults))
            except (PollError, ArithmeticError, TypeError, ValueError) as exc:
                faults.add(f"{_shown(entry)}: {exc}")
                continue
            yield from counters
        if faults.count:
            raise PollError(f"{faults.count} readings could not be made, first {faults.first}")

    def _counters(self, entry: Any, place: Place, faults: _Faults) -> Iterator[Counter]:
        if not isinstance(entry, dict):
            raise PollError("an entry is no mapping")
        told = self.definition
        values = list(self._values(entry, faults))
        if not values:
            return
        ids = {
            "user_id": _id(told.user, entry),
            "project_id": _id(told.project, entry),
            "id": _id(told.resource, entry),
        }
        if not ids["id"]:
            raise PollError(f"it has no {told.resource.text!r}, to name its resource")
        metadata = fields_of(entry, told.metadata)
        sample = {**entry, **ids, "value": values[0][1], "metadata": metadata}
        extra = self._extras.of(sample, place, self._until, faults.add)
        for meter, volume in values:
            yield meter.read(
                volume,
                resource_id=str(ids["id"]),
                project_id=ids["project_id"],
                user_id=ids["user_id"],
                resource_metadata={**extra, **metadata},
            )

    def _values(self, entry: Mapping[str, Any], faults: _Faults) -> Iterator[tuple[Meter, float]]:
        told = self.definition
        if told.elements is None or told.placeholder is None:
            value = _needed(told.value, entry)
            if value not in told.skips:
                yield told.meter, self._volume(value)
            return
        elements = _needed(told.elements, entry)
        if not isinstance(elements, list):
            raise PollError(f"{told.elements.text!r} is no list")
        for element in elements:
            try:
                found = self._of_element(element)
            except PollError as exc:
                faults.add(f"{_shown(entry)}: {exc}")
                continue
            if found is not None:
                yield found

    def _of_element(self, element: Any) -> tuple[Meter, float] | None:
        told = self.definition
        part = element.get(told.placeholder) if isinstance(element, dict) else None
        if not isinstance(part, str) or not _LAST_PART.fullmatch(part):
            raise PollError(f"an element's {told.placeholder!r} is no part of a meter's name: {str(part)[:40]!r}")
        value = _needed(told.value, element)
        if value in told.skips or part in told.skips:
            return None
        name = told.meter.name.replace(f"{{{told.placeholder}}}", part)
        return Meter(name, told.meter.kind, told.meter.unit), self._volume(value)

    def _volume(self, value: Any) -> float:
        told = self.definition
        if told.mapping:
            value = told.mapping.get(str(value), told.default)
        if isinstance(value, bool):
            return int(value)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number) or not isinstance(value, str | int | float):
            raise PollError(f"{told.value.text!r} gives no number but {str(value)[:40]!r}")
        return value if isinstance(value, int) else number

    def _place_of(self, question: Question) -> Place:
        if question.is_command:
            return Place(COMMAND, self.definition.meter.name)
        return Place(WEB, urlsplit(str(question.target)).netloc.rpartition("@")[2] or None)

    def _way(self, question: Question) -> Way:
        if question.is_command:
            return self._commands
        return self._web if question.service is None else self._catalogue

    def _extra_way(self, extra: Extra, place: Place) -> tuple[Way, Place]:
        question = extra.question
        if question.service is None:
            # What signs the pollster's own requests does not sign those to others.
            return (self._commands if question.is_command else self._unsigned), self._place_of(question)
        return self._catalogue, self._near(question.service, place)

    def _near(self, service: str, place: Place) -> Place:
        """Where a service is for an entry read at a place: in its region, else anywhere in its cloud."""
        found = [near for near in self.endpoints.places(service) if place.cloud in (None, near.cloud)]
        if not found:
            raise PollError(f"no cloud has a service {service!r}")
        return next((near for near in found if near.region == place.region), found[0])

    @property
    def asks_catalogue(self) -> bool:
        """Whether it needs a cloud."""
        told = self.definition.authentication
        secret = told is not None and not told.parameters and bool(told.secret)
        return secret or any(question.service is not None for question in self._questions)

    @property
    def runs_commands(self) -> bool:
        """Whether it runs programs of its host."""
        return any(question.is_command for question in self._questions)

    @property
    def _questions(self) -> tuple[Question, ...]:
        return (self.definition.question, *(extra.question for extra in self.definition.extras))

    def _parameters(self) -> str:
        """What the authentication is made with: as the file says, else as the key manager keeps it."""
        told = self.definition.authentication
        if told is None or told.parameters or not told.secret:
            return told.parameters if told else ""
        place = self._near(KEY_MANAGER, Place(KEY_MANAGER))
        path = f"v1/secrets/{told.secret}/payload"
        return self.endpoints.text(place, path, {"Accept": "text/plain"}, self.definition.question.seconds or 30.0)


@dataclass
class NodePollster:
    """The same on a compute host, once in each poll of it."""

    declared: DeclaredPollster

    def __post_init__(self) -> None:
        self.meters = self.declared.meters

    def poll_node(self, node: Node) -> Iterator[Counter]:
        self.declared.begin(time.monotonic() + node.seconds)
        for place in self.declared.places():
            yield from self.declared.poll(place)


def _needed(path: Path, entry: Any) -> Any:
    value = path.of(entry)
    if value is MISSING:
        raise PollError(f"it has no {path.text!r}")
    return value


def _id(path: Path, entry: Any) -> str | None:
    value = path.of(entry)
    if value is MISSING or value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadExpression(f"{path.text!r} gives no name but {type(value).__name__}")
    return str(value)


def _shown(entry: Any) -> str:
    return str(entry.get("id") or entry.get("name") or "?")[:80] if isinstance(entry, dict) else "?"
