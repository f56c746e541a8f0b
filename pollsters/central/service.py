"""What our central pollsters have in common: the clouds they ask, and how a listing becomes counters.

Nothing here needs OpenStack's libraries: a process that polls no cloud loads these plugins without them.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Protocol, TypeVar

from metering import environment
from metering.counters import Counter
from metering.environment import Environment
from metering.errors import BadSetting, PollError, ServiceFailed
from metering.plugins import Option
from pollsters.central.paging import Turn, by_link
from pollsters.runner import Place

log = logging.getLogger(__name__)

CLOUDS, TIMEOUT = "METERING_CLOUDS", "METERING_CLOUD_TIMEOUT"
OPTIONS = (
    Option(CLOUDS, "", "the clouds to poll: names in clouds.yaml, a list with commas"),
    Option(TIMEOUT, "10", "seconds that one call to a service may take, from 1 to 300"),
)
Entry = Mapping[str, Any]
T = TypeVar("T")


class Clouds(Protocol):
    """The clouds, as pollsters ask them. Each method that asks raises `ServiceFailed`."""

    def begin(self, until: float) -> None:
        """A poll begins, which ends at ``until`` (`time.monotonic`): later nothing is asked."""

    def places(self, service: str) -> Iterator[Place]:
        """Every region of every cloud that has the service. A cloud without an answer is one place, which fails."""

    def project_places(self, service: str) -> Iterator[Place]:
        """The same, for each project of the cloud."""

    def get(
        self, place: Place, path: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The JSON at a path of the place's endpoint."""

    def entries(
        self,
        place: Place,
        path: str,
        key: str | None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        turn: Turn = by_link,
        identity: tuple[str, ...] = ("id",),
    ) -> Iterator[dict[str, Any]]:
        """The entries of a listing, over all its pages, each once; ``key`` None: the body is the list.

        ``identity`` are the fields by which two entries are the same, and which each must have.
        """

    def text(self, place: Place, path: str, headers: Mapping[str, str], seconds: float) -> str:
        """The body at a path of the place's endpoint, whatever its form, in at most so many seconds."""

    def head(self, place: Place, path: str) -> Mapping[str, str]:
        """The headers of an answer."""

    def endpoint(self, place: Place) -> str:
        """The URL of the service there; of a place with a project, that project's instead of our own's."""

    def projects(self, cloud: str) -> Sequence[str]:
        """The ids of a cloud's projects."""

    def get_signed(
        self, place: Place, url: str, sign: Callable[[str], Mapping[str, str]], query: Mapping[str, str]
    ) -> Any:
        """The JSON at a URL, asked with the headers that ``sign`` makes for the whole URL instead of a token."""


def named(values: Mapping[str, str]) -> tuple[str, ...]:
    """The clouds that METERING_CLOUDS names."""
    return tuple(name.strip() for name in values[CLOUDS].split(",") if name.strip())


def check(environ: Mapping[str, str]) -> None:
    """Raises `BadSetting` for a cloud that clouds.yaml does not have, or a time-out that is none."""
    values = {option.name: environment.value(environ, option.name, option.default) or "" for option in OPTIONS}
    seconds(values)
    if fault := _fault(values):
        raise BadSetting(fault)


def seconds(values: Mapping[str, str]) -> float:
    """The time-out. Raises `BadSetting`."""
    got = values[TIMEOUT]
    try:
        number = float(got)
    except ValueError:
        number = math.nan
    if not 1 <= number <= 300:
        raise BadSetting(f"{TIMEOUT} must be seconds from 1 to 300, not {got!r}")
    return number


def _fault(values: Mapping[str, str]) -> str | None:
    """What is wrong with the clouds that are named; None also when none is."""
    names = named(values)
    if not names:
        return None
    if importlib.util.find_spec("openstack") is None:
        return f"{CLOUDS} is set and openstacksdk is not installed: it is in requirements/central.txt"
    from pollsters.central import cloud  # noqa: PLC0415 # most processes ask no cloud, and need none of its libraries

    return cloud.fault_of(names)


@cache
def shared(names: tuple[str, ...], timeout: float) -> Clouds:
    """One for all pollsters of a process: they share tokens, connections and the list of projects."""
    from pollsters.central import cloud  # noqa: PLC0415 # see above

    return cloud.OpenStack(names, timeout)


class CloudPollster(ABC):
    """A pollster that asks OpenStack's clouds. Not a contract: a plugin of somebody else's needs none of it."""

    options: ClassVar[tuple[Option, ...]] = OPTIONS
    service: ClassVar[str]

    def __init__(self, values: Mapping[str, str], clouds: Clouds | None = None) -> None:
        self._values = values
        self._timeout = seconds(values)
        self._clouds = clouds

    @property
    def clouds(self) -> Clouds:
        """Made at the first question, in the process that asks: a connection does not survive a fork."""
        return self._clouds or shared(named(self._values), self._timeout)

    def enabled(self, settings: Environment) -> str | None:
        if not named(self._values):
            return f"{CLOUDS} is not set: no cloud is polled"
        # Only who polls must have clouds.yaml; others know the plugin for its meters.
        return _fault(self._values) if settings.role in (None, "central") else None

    def begin(self, until: float) -> None:
        self.clouds.begin(until)


class RegionPollster(CloudPollster):
    """A pollster of a service that is asked once for each region."""

    def places(self) -> Iterable[Place]:
        return self.clouds.places(self.service)


class ServicePollster(RegionPollster):
    """A pollster of what a service lists in each region."""

    def poll(self, place: Place) -> Iterator[Counter]:
        """A counter or more for each entry; one that cannot be read costs only itself."""
        return read_each(self.entries(place), self.counters)

    @abstractmethod
    def entries(self, place: Place) -> Iterable[dict[str, Any]]:
        """What is listed there."""

    @abstractmethod
    def counters(self, entry: dict[str, Any]) -> Iterable[Counter]:
        """What one entry says."""


class ProjectPollster(CloudPollster):
    """A pollster of a service that is asked once for each project."""

    def places(self) -> Iterable[Place]:
        return self.clouds.project_places(self.service)

    def poll(self, place: Place) -> Iterator[Counter]:
        if place.project is None:  # no list of projects was had: ask again, for the reason
            self.clouds.projects(str(place.cloud))
            raise PollError("the cloud's projects were not known when the poll began")
        return self.of_project(place, place.project)

    @abstractmethod
    def of_project(self, place: Place, project: str) -> Iterator[Counter]:
        """What is read of one project."""


def read_each(
    entries: Iterable[dict[str, Any]], read: Callable[[dict[str, Any]], Iterable[Counter]]
) -> Iterator[Counter]:
    """What each entry gives. At the end raises `PollError` for those that could not be read."""
    failed, first = 0, ""
    for entry in entries:
        try:
            counters = list(read(entry))
        except (KeyError, TypeError, ValueError, AttributeError, PollError) as exc:
            failed += 1
            what = str(exc) if isinstance(exc, PollError) else f"{type(exc).__name__}: {exc}"
            first = first or f"{str(entry.get('id') or entry.get('name'))[:80]}: {what}"
            continue
        yield from counters
    if failed:
        raise PollError(f"{failed} entries could not be read, first {first}")


def where_there(entries: Iterable[T]) -> Iterator[T]:
    """What is listed, and nothing where the service says that there is no such thing (404): it is not offered there,
    or the project never used it.
    """
    try:
        yield from entries
    except ServiceFailed as exc:
        if exc.status != 404:
            raise


def number(value: Any) -> float:
    """A figure out of an answer. Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!r} is no number")
    return value


def pick(entry: Entry, *names: str) -> dict[str, Any]:
    """The fields that a sample's metadata keeps, None where the service has none."""
    return {name: entry.get(name) for name in names}
