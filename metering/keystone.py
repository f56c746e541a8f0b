"""Keystone, asked whose a token is. The only file of what stores and serves that imports its library. No Django."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import urllib3
from keystoneauth1 import exceptions
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session
from urllib3.exceptions import InsecureRequestWarning

from metering import transport
from metering.access_settings import KeystoneSettings
from metering.errors import KeystoneAway

log = logging.getLogger(__name__)

REST_SECONDS = 5.0  # one that did not answer is left alone so long: meanwhile nobody waits for it
LARGEST = 1 << 20  # bytes of an answer; one without a catalogue has some hundreds


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a token. Of a domain's token, or one of no scope, ``project_id`` is None and ``is_system`` False."""

    user_id: str
    project_id: str | None
    roles: tuple[str, ...]
    is_system: bool
    expires: datetime


class Keystone:
    """One Keystone behind one or several URLs. Threads may share it."""

    def __init__(self, settings: KeystoneSettings) -> None:
        self._seconds = settings.timeout
        self._clock = threading.local()
        self._doors = [_Door(url, settings, self._left) for url in settings.urls]

    def holder(self, token: str) -> Holder | None:
        """None when it knows no such token, or no longer. Raises `KeystoneAway`, within the time that is set."""
        until = time.monotonic() + self._seconds
        doors = [door for door in self._doors if door.may_be_asked(self._seconds)]
        faults = []
        for number, door in enumerate(doors):
            now = time.monotonic()
            self._clock.until = now + (until - now) / (len(doors) - number)  # an equal part of what is left
            try:
                return door.holder(token)
            except KeystoneAway as exc:
                faults.append(str(exc))
        raise KeystoneAway("; ".join(faults) or "it did not answer a moment ago")

    def examine(self) -> Iterator[tuple[str, str | None, tuple[str, ...]]]:
        """Each URL, what is wrong there, and the roles that we have."""
        for door in self._doors:
            self._clock.until = time.monotonic() + self._seconds
            try:
                door.holder("nephometer-asks-whether-it-may-ask")
                yield door.url, None, door.roles()
            except KeystoneAway as exc:
                yield door.url, str(exc), ()

    def _left(self) -> float:
        left: float = self._clock.until - time.monotonic()
        return left


class _Door:
    """One URL, with a token of our own for it."""

    def __init__(self, url: str, settings: KeystoneSettings, left: Callable[[], float]) -> None:
        self.url = url.rstrip("/").removesuffix("/v3") + "/v3"
        requests = transport.session(left, LARGEST)
        requests.trust_env = False  # no proxy, and no password from a .netrc
        if settings.insecure:
            urllib3.disable_warnings(InsecureRequestWarning)  # the operator was told by a system check
        verify = False if settings.insecure else str(settings.ca_file) if settings.ca_file else True
        auth = Password(
            self.url,
            username=settings.user,
            password=settings.password,
            project_name=settings.project,
            user_domain_name=settings.user_domain,
            project_domain_name=settings.project_domain,
        )
        # Redirects are refused: a token must not go where an answer points.
        self._session = Session(auth, requests, verify=verify, redirect=False, app_name="nephometer")
        self._lock = threading.Lock()
        self._rests_until = 0.0  # by the monotonic clock; 0 while it answers

    def may_be_asked(self, seconds: float) -> bool:
        """Whether it answers, as far as we know. Of those who ask after a rest only the first hears yes."""
        with self._lock:
            now = time.monotonic()
            if now < self._rests_until:
                return False
            if self._rests_until:
                self._rests_until = now + seconds
            return True

    def holder(self, token: str) -> Holder | None:
        headers = {"X-Subject-Token": token}
        try:
            response: Any = self._session.get(
                f"{self.url}/auth/tokens?nocatalog", headers=headers, raise_exc=False, log=False
            )
        except exceptions.HttpError as exc:  # only while we ask for a token of our own
            raise self._rest(f"gives us no token of our own: {exc}") from exc
        except (
            exceptions.ClientException,
            OSError,
        ) as exc:  # of the latter kind is a file of certificates that is away
            raise self._rest(f"does not answer: {exc}") from exc
        status = response.status_code
        if status in (401, 403):
            raise self._rest(f"does not let us ask whose a token is: {status} {response.reason}")
        self._answered()
        if status == 404:
            return None
        if status == 200:
            return _read(self.url, response.content)
        # Perhaps it is for this token alone: others may go on asking.
        log.error("Keystone at %s does not say whose a token is: %s %s", self.url, status, response.reason)
        raise KeystoneAway(f"{self.url} does not say whose a token is: {status} {response.reason}")

    def roles(self) -> tuple[str, ...]:
        """Of ourselves, there."""
        auth: Any = self._session.auth
        return tuple(auth.get_access(self._session).role_names)

    def _rest(self, why: str) -> KeystoneAway:
        """Leave it alone for a while. Logged once, until it answers again."""
        with self._lock:
            first, self._rests_until = not self._rests_until, time.monotonic() + REST_SECONDS
        if first:
            log.error("Keystone at %s %s", self.url, why)
        return KeystoneAway(f"{self.url} {why}")

    def _answered(self) -> None:
        with self._lock:
            rested, self._rests_until = bool(self._rests_until), 0.0
        if rested:
            log.warning("Keystone at %s answers again", self.url)


def _read(url: str, body: bytes) -> Holder:
    try:
        token = json.loads(body)["token"]
        project = token.get("project")
        return Holder(
            user_id=str(token["user"]["id"]),
            project_id=None if project is None else str(project["id"]),
            roles=tuple(str(role["name"]) for role in token.get("roles", ())),
            is_system=bool(token.get("system")),
            expires=datetime.fromisoformat(token["expires_at"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise KeystoneAway(f"{url} answers with what is no token's description") from exc
