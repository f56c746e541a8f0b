"""Connections for calls that may never return, each used by one thread at a time.

A hung guest blocks a call, and with it, in libvirt's client, other threads' calls on the same connection, in
bursts of seconds: what it should wake them with gets lost (libvirt 9.0; measured). So each thread has its own.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from metering.errors import HypervisorAway
from pollsters.compute.connection import Connection


class Lanes:
    """As many connections as there were threads at once; they serve again and again."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._idle: list[Connection] = []

    @contextlib.contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection for the calling thread alone. One on which a call never ends is never used again."""
        connection = self._take()
        try:
            yield connection
        except HypervisorAway:
            connection.close()
            raise
        except BaseException:
            self._give(connection)
            raise
        else:
            self._give(connection)

    def _take(self) -> Connection:
        while True:
            with self._lock:
                if not self._idle:
                    break
                connection = self._idle.pop()
            if connection.alive():
                return connection
            connection.close()
        return self._connect()

    def _give(self, connection: Connection) -> None:
        with self._lock:
            self._idle.append(connection)
