"""OpenStack's APIs: every call that we make, and the only file that imports its libraries.

``clouds.yaml`` says how to reach each cloud. What fails becomes a `ServiceFailed` here, once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import openstack.exceptions
import yaml
from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1.access import AccessInfo
from keystoneauth1.session import Session
from openstack.config import OpenStackConfig
from openstack.config.cloud_region import CloudRegion

from metering import transport
from metering.errors import ServiceFailed
from pollsters.central import listing
from pollsters.central.endpoints import address, join
from pollsters.central.paging import Query, Turn, by_link
from pollsters.runner import Place

log = logging.getLogger(__name__)

MOST_PAGES = 10_000  # of one listing: ten million entries
AWAY_SECONDS = 20.0  # a service that did not answer in time is left alone so long, by this slot's other shards too
PROJECTS_SECONDS = 60.0  # how long a list of projects serves
IDENTITY = "identity"

_NO_ANSWER = (keystone_exceptions.ClientException, openstack.exceptions.SDKException)
_BAD_FILE = (openstack.exceptions.SDKException, keystone_exceptions.ClientException, yaml.YAMLError, OSError)


def fault_of(names: Sequence[str], setting: str = "METERING_CLOUDS") -> str | None:
    """What is wrong with the clouds of these names in clouds.yaml, in one line; nothing is asked."""
    try:
        config = OpenStackConfig(app_name="nephometer")
        known = config.get_cloud_names()
        for name in names:
            if name not in known and config.config_filename is None:
                return f"{setting} names {name!r}, and no clouds.yaml can be read (OS_CLIENT_CONFIG_FILE names one)"
            if name not in known:
                has = ", ".join(sorted(known)) or "no cloud"
                return f"{setting} names {name!r}, and {config.config_filename} has {has}"
            config.get_one(name)
    except _BAD_FILE as exc:
        return f"clouds.yaml cannot be used for {setting}: {exc}"
    return None


@dataclass(slots=True)
class Limits:
    """What one call, one listing and one poll may take."""

    seconds: float  # of a call, however slowly its answer comes
    pages: int = MOST_PAGES
    away_seconds: float = AWAY_SECONDS
    largest: int = transport.LARGEST_BODY
    until: float = float("inf")  # of the poll, by the monotonic clock

    def left(self) -> float:
        """Seconds that a call may take now."""
        return min(self.seconds, self.until - time.monotonic())

    @contextlib.contextmanager
    def lasting(self, seconds: float) -> Iterator[None]:
        """Calls within may take so long."""
        usual, self.seconds = self.seconds, seconds
        try:
            yield
        finally:
            self.seconds = usual


@dataclass
class Cloud:
    """One cloud: its regions as clouds.yaml has them, with one token for all."""

    name: str
    limits: Limits
    _projects: tuple[float, tuple[str, ...]] = (0.0, ())

    @cached_property
    def regions(self) -> Sequence[CloudRegion]:
        """At least one; a region without a name stands for every region of the catalogue."""
        # Redirects are refused: a token must not go where an answer points.
        requests = transport.session(self.limits.left, self.limits.largest)
        make: Any = partial(Session, session=requests, redirect=False)
        config = OpenStackConfig(session_constructor=make, app_name="nephometer")
        regions = [region for region in config.get_all() if region.name == self.name]
        if not regions:
            raise ServiceFailed(self.name, "clouds.yaml has no such cloud that can be used")
        return regions

    @cached_property
    def session(self) -> Session:
        return self.regions[0].get_session()

    def access(self) -> AccessInfo:
        """The token in force, with its catalogue; asked for when there is none. Raises keystoneauth's errors."""
        auth: Any = self.session.auth
        access: AccessInfo = auth.get_access(self.session)
        return access

    def catalogue(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.access().service_catalog.normalize_catalog()
        return entries

    def region_names(self, service: str) -> list[str]:
        """The regions in which the service has an endpoint, of those that clouds.yaml names."""
        catalogue = self.catalogue()
        named = [region.region_name for region in self.regions if region.region_name]
        known = {point["region_id"] for entry in catalogue for point in entry["endpoints"]}
        wanted = named or sorted(region for region in known if region)
        return [name for name in wanted if self._address(catalogue, service, name) is not None]

    def endpoint(self, place: Place) -> str:
        found = self._address(self.catalogue(), place.service, str(place.region))
        if found is None:
            raise ServiceFailed(str(place), "the catalogue has no endpoint of it")
        if place.project is None:
            return found
        own = str(self.access().project_id)
        if not found.rstrip("/").endswith(own):
            raise ServiceFailed(
                str(place), "its endpoint does not end in our own project, to be put in another's place"
            )
        return f"{found.rstrip('/').removesuffix(own)}{quote(place.project, safe='')}"

    def _address(self, catalogue: list[dict[str, Any]], service: str, region_name: str) -> str | None:
        config = next((region for region in self.regions if region.region_name == region_name), self.regions[0])
        override = config.get_endpoint(service) if service != IDENTITY else None
        return override or address(catalogue, service, region_name, config.get_interface(service))

    def projects(self, load: Callable[[], Sequence[str]]) -> Sequence[str]:
        """The projects, loaded again when the list is old."""
        read_at, projects = self._projects
        if not read_at or time.monotonic() > read_at + PROJECTS_SECONDS:
            projects = tuple(load())
            self._projects = (time.monotonic(), projects)
        return projects


@dataclass
class OpenStack:
    """The clouds of METERING_CLOUDS; `service.Clouds` says what each method means."""

    names: Sequence[str]
    seconds: float  # of one call
    largest: int = transport.LARGEST_BODY  # bytes of one answer
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        self.limits = Limits(self.seconds, largest=self.largest)
        self._clouds = {name: Cloud(name, self.limits) for name in self.names}
        self._away: dict[tuple[str | None, ...], tuple[float, str]] = {}

    def begin(self, until: float) -> None:
        self.limits.until = until

    def places(self, service: str) -> Iterator[Place]:
        for cloud in self._clouds.values():
            nowhere = Place(service, None, None, cloud.name)
            try:
                names = self._ask(nowhere, "its catalogue", partial(cloud.region_names, service))
            except ServiceFailed as exc:
                log.debug("%s", exc)  # told when the place is polled, by the one shard it falls to
                yield nowhere
            else:
                yield from (Place(service, name, None, cloud.name) for name in names)

    def project_places(self, service: str) -> Iterator[Place]:
        for place in self.places(service):
            try:
                projects = self.projects(str(place.cloud)) if place.region else ()
            except ServiceFailed as exc:
                log.debug("%s", exc)  # as above
                yield place
            else:
                yield from (Place(place.service, place.region, project, place.cloud) for project in projects)
                if place.region is None:
                    yield place

    def projects(self, cloud: str) -> Sequence[str]:
        place = Place(IDENTITY, None, None, cloud)
        region = next(iter(self._ask(place, "its regions", partial(self._clouds[cloud].region_names, IDENTITY))), None)
        place = Place(IDENTITY, region, None, cloud)
        return self._clouds[cloud].projects(
            lambda: [str(entry["id"]) for entry in self.entries(place, "v3/projects", "projects")]
        )

    def endpoint(self, place: Place) -> str:
        cloud = self._clouds[str(place.cloud)]
        if place.region is None:  # nobody knew the regions when the poll began: ask again, for the reason
            self._ask(place, "its catalogue", cloud.catalogue)
            raise ServiceFailed(str(place), "no region of it was known when the poll began")
        found: str = self._ask(place, "its catalogue", partial(cloud.endpoint, place))
        return found

    def get(
        self, place: Place, path: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        response = self._send(place, "GET", join(self.endpoint(place), path), query, headers)
        return _json(place, response)

    def text(self, place: Place, path: str, headers: Mapping[str, str], seconds: float) -> str:
        with self.limits.lasting(seconds):
            response = self._send(place, "GET", join(self.endpoint(place), path), headers=headers)
        return transport.text_of(response)

    def head(self, place: Place, path: str) -> Mapping[str, str]:
        headers: Mapping[str, str] = self._send(place, "HEAD", join(self.endpoint(place), path)).headers
        return headers

    def get_signed(
        self, place: Place, url: str, sign: Callable[[str], Mapping[str, str]], query: Mapping[str, str]
    ) -> Any:
        whole = f"{url}?{urlencode(sorted(query.items()), quote_via=quote)}"
        return _json(place, self._send(place, "GET", whole, headers=sign(whole), authenticated=False))

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
        def ask(asked: Query) -> Any:
            return self.get(place, path, asked, headers)

        what, pages = f"GET {path}", self.limits.pages
        return listing.entries(str(place), what, ask, dict(query or {}), key, turn, identity, pages)

    def _send(
        self,
        place: Place,
        method: str,
        url: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        authenticated: bool = True,
    ) -> Any:
        session = self._clouds[str(place.cloud)].session
        what = f"{method} {urlsplit(url).path}"
        options: dict[str, Any] = {
            "params": query or None,
            "headers": {"Accept": "application/json", **(headers or {})},
        }
        call = partial(session.request, url, method, authenticated=authenticated, raise_exc=False, **options)
        response: Any = self._ask(place, what, call)
        if not 200 <= response.status_code < 300:
            raise ServiceFailed(str(place), f"{what}: {response.status_code} {response.reason}", response.status_code)
        return response

    def _ask(self, place: Place, what: str, call: Callable[[], Any]) -> Any:
        """Make a call, unless the service did not answer just now. Raises `ServiceFailed`."""
        service = (place.cloud, place.region, place.service) if place.region else (place.cloud,)
        since, why = self._away.get(service, (float("-inf"), ""))
        if time.monotonic() < since + self.limits.away_seconds:
            raise ServiceFailed(str(place), f"{what}: not asked: {why}")
        allowed = self.limits.left()
        if allowed <= 0:
            raise ServiceFailed(str(place), f"{what}: no time was left in this poll")
        try:
            return call()
        except keystone_exceptions.ConnectTimeout as exc:
            if allowed >= self.limits.seconds:  # it had all the time that a call may take
                self._away[service] = (time.monotonic(), f"it did not answer within {allowed:g} s a moment ago")
            raise ServiceFailed(str(place), f"{what}: no whole answer within {allowed:.1f} s") from exc
        except keystone_exceptions.HttpError as exc:  # of keystone, while a token was asked for
            raise ServiceFailed(str(place), f"{what}: no token: {exc}", exc.http_status) from exc
        except _NO_ANSWER as exc:
            raise ServiceFailed(str(place), f"{what}: {exc}") from exc


def _json(place: Place, response: Any) -> Any:
    path = urlsplit(response.url).path
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as exc:
        kind = response.headers.get("Content-Type", "no type")
        raise ServiceFailed(str(place), f"GET {path}: no JSON but {kind}", response.status_code) from exc
