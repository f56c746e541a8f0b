"""Where definitions ask: a service of a cloud, any URL, a command on this host. Each gives the text of an answer."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit, urlunsplit

from metering.errors import PollError
from pollsters.declared.definitions import Authentication
from pollsters.runner import Place

LARGEST = 64 << 20  # bytes of an answer
WEB, COMMAND = "web", "command"  # the service of places that are in no catalogue


class Endpoints(Protocol):
    """Services with an address, as `pollsters.central.service.Clouds` has them. Each question raises `PollError`."""

    def begin(self, until: float) -> None: ...

    def places(self, service: str) -> Iterable[Place]: ...

    def endpoint(self, place: Place) -> str: ...

    def text(self, place: Place, path: str, headers: Mapping[str, str], seconds: float) -> str:
        """The body at a path of the place's endpoint, whatever its form."""


class Way(Protocol):
    """One of the ways to an answer."""

    def ask(self, place: Place, target: str, headers: Mapping[str, str], seconds: float) -> str:
        """The text of the answer, within so many seconds. Raises `PollError`."""

    def following(self, place: Place, target: str, link: str) -> str:
        """The target of the next page, as an answer names it. What it says of hosts is not believed."""


@dataclass(frozen=True, slots=True)
class CatalogueWay:
    """Services of a cloud: targets are paths."""

    endpoints: Endpoints

    def ask(self, place: Place, target: str, headers: Mapping[str, str], seconds: float) -> str:
        if urlsplit(target).scheme or target.startswith("//"):
            raise PollError(f"{place}: a path is asked for there, not a whole URL")
        return self.endpoints.text(place, target.lstrip("/"), headers, seconds)

    def following(self, place: Place, target: str, link: str) -> str:
        asked, told = urlsplit(target), urlsplit(link)
        if told.query and told.path.rpartition("/")[2] in ("", asked.path.rpartition("/")[2]):
            return urlunsplit(("", "", asked.path, told.query, ""))
        base = urlsplit(self.endpoints.endpoint(place)).path.rstrip("/")
        return urlunsplit(("", "", told.path.removeprefix(base).lstrip("/"), told.query, ""))


@dataclass
class WebWay:
    """Any URL: targets are whole URLs. With an authentication, its object signs each request."""

    authentication: Authentication | None = None
    allowed: tuple[str, ...] = ()  # modules that may be imported for it
    parameters: Callable[[], str] = str  # of the authentication, asked for when they are needed
    _seconds: float = field(default=0.0, init=False)

    def ask(self, place: Place, target: str, headers: Mapping[str, str], seconds: float) -> str:
        import requests  # noqa: PLC0415 # most processes ask no API, and need none of its libraries

        from metering import transport  # noqa: PLC0415 # see above

        parts = urlsplit(target)
        shown = f"{parts.scheme}://{parts.hostname}{parts.path}"  # a query may hold a key
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise PollError(f"{place}: {shown!r} is no URL of the web")
        self._seconds = seconds
        options: dict[str, Any] = {"headers": dict(headers), "allow_redirects": False}
        try:
            response = self._session.get(target, auth=self._signer, **options)
        except requests.RequestException as exc:
            # Its text holds the whole URL.
            raise PollError(f"GET {shown}: {type(exc).__name__}") from exc
        if not 200 <= response.status_code < 300:
            raise PollError(f"GET {shown}: {response.status_code} {response.reason}")
        return transport.text_of(response)

    def following(self, place: Place, target: str, link: str) -> str:
        asked, told = urlsplit(target), urlsplit(urljoin(target, link))
        return urlunsplit((asked.scheme, asked.netloc, told.path, told.query, ""))

    @cached_property
    def _session(self) -> Any:
        from metering import transport  # noqa: PLC0415 # see above

        session = transport.session(lambda: self._seconds, LARGEST)
        session.trust_env = False  # no password from a .netrc goes along
        return session

    @cached_property
    def _signer(self) -> Any:
        told = self.authentication
        if told is None:
            return None
        if told.module not in self.allowed:
            raise PollError(f"the module {told.module!r} is not named in METERING_POLLSTER_MODULES")
        try:
            maker = getattr(importlib.import_module(told.module), told.name)
        except (ImportError, AttributeError) as exc:
            raise PollError(f"{told.module}.{told.name} cannot be had: {exc}") from exc
        parameters = [part.strip() for part in self.parameters().split(",")]
        try:
            return maker(*parameters)
        except Exception as exc:  # noqa: BLE001 # anybody's code, and its text may hold the parameters
            raise PollError(f"{told.module}.{told.name} cannot be made: {type(exc).__name__}") from None


@dataclass(frozen=True, slots=True)
class CommandWay:
    """Programs of this host: targets are command lines, without a shell. What they print is the answer."""

    def ask(self, place: Place, target: str, headers: Mapping[str, str], seconds: float) -> str:
        try:
            command = shlex.split(target)
        except ValueError as exc:
            raise PollError(f"{place}: the command cannot be read: {exc}") from exc
        if not command:
            raise PollError(f"{place}: the command is empty")
        status, output = _run(command, seconds)
        if status:
            raise PollError(f"{command[0]} failed ({status})")
        return output.decode(errors="replace")

    def following(self, place: Place, target: str, link: str) -> str:
        return link


def _run(command: list[str], seconds: float) -> tuple[int, bytes]:
    """Its exit status and what it printed. What the program starts ends with it."""
    until = time.monotonic() + seconds
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as exc:
        raise PollError(f"{command[0]} cannot be run: {exc.strerror}") from exc
    with process:
        try:
            output = _read(process, until)
            return process.wait(max(0.0, until - time.monotonic())), output
        except (TimeoutError, subprocess.TimeoutExpired):
            raise PollError(f"{command[0]} did not end within {seconds:.1f} s") from None
        except OverflowError:
            raise PollError(f"{command[0]} printed more than {LARGEST} bytes") from None
        finally:
            with contextlib.suppress(ProcessLookupError):  # all of them ended
                os.killpg(process.pid, signal.SIGKILL)


def _read(process: subprocess.Popen[bytes], until: float) -> bytes:
    """All that it prints. Raises `TimeoutError`, `OverflowError`."""
    assert process.stdout is not None  # noqa: S101 # it is a pipe
    parts: list[bytes] = []
    size = 0
    while True:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(process.stdout.fileno(), 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise OverflowError
