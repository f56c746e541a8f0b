"""HTTP that ends: every request has one limit for its whole answer, however slowly that comes.

The time-out of the sockets below is for one read only: a service that sends a byte now and then never reaches it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

LARGEST_BODY = 64 << 20  # bytes; a page of a thousand entries is some hundred KiB
_CHUNK = 64 << 10


def session(seconds: Callable[[], float], largest: int = LARGEST_BODY) -> requests.Session:
    """A session whose every request takes as many seconds as ``seconds`` answers then, and reads a bounded body."""
    bounded = requests.Session()
    for scheme in ("http://", "https://"):
        bounded.mount(scheme, _Bounded(seconds, largest))
    return bounded


def text_of(response: requests.Response) -> str:
    """The text of a body, by the character set that its type names, else UTF-8; what is no text in it is replaced."""
    for part in response.headers.get("Content-Type", "").split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            with contextlib.suppress(LookupError):
                return response.content.decode(value.strip(" \"'"), errors="replace")
    return response.content.decode(errors="replace")


class _Bounded(HTTPAdapter):
    """Reads the whole answer itself, by the clock."""

    def __init__(self, seconds: Callable[[], float], largest: int) -> None:
        self._seconds, self._largest = seconds, largest
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        """Raises `requests.Timeout` when the answer is not whole in time."""
        seconds = self._seconds()
        if seconds <= 0:
            raise requests.Timeout("no time was left")
        until = time.monotonic() + seconds
        response = super().send(request, **{**options, "stream": True, "timeout": seconds})
        with contextlib.closing(response):
            # As requests keeps a body that it has read: those who look at it later find it here.
            response._content = self._body(response, until)
            response._content_consumed = True  # type: ignore[attr-defined] # not in the published types
        return response

    def _body(self, response: requests.Response, until: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        # read1 gives what is there; read would wait until a whole chunk is.
        while part := response.raw.read1(_CHUNK, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > self._largest:
                raise requests.RequestException(f"a body of more than {self._largest} bytes")
            if time.monotonic() > until:
                raise requests.Timeout("the body came too slowly")
        return b"".join(parts)


class _Cut:
    """A connection that is cut when connecting, or the answer's head, takes longer than the time-out."""

    sock: socket.socket | None
    timeout: Any  # seconds; urllib3 sets it before it connects and before it reads

    def connect(self) -> None:
        with self._limit():
            super().connect()  # type: ignore[misc] # of urllib3's connection beside us

    def getresponse(self) -> Any:
        with self._limit():
            return super().getresponse()  # type: ignore[misc] # of urllib3's connection beside us

    @contextlib.contextmanager
    def _limit(self) -> Iterator[None]:
        seconds = float(self.timeout)
        cut = threading.Event()

        def end() -> None:
            cut.set()
            if self.sock is not None:
                with contextlib.suppress(OSError):  # not connected yet, or no longer
                    self.sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as exc:
            if cut.is_set():
                raise TimeoutError(f"no answer within {seconds:.1f} s") from exc
            raise
        finally:
            timer.cancel()
        if cut.is_set():  # a head that is cut off may still look like one
            raise TimeoutError(f"no answer within {seconds:.1f} s")


class _Connection(_Cut, HTTPConnection):
    pass


class _SecureConnection(_Cut, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
