"""Which domains have changed, as libvirt's events tell it in a thread of their own."""

from __future__ import annotations

import threading
from typing import Any


class Changes:
    """A callback for libvirt's events, and what they told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: set[str] = set()

    def __call__(self, connection: Any, domain: Any, *_: Any) -> None:
        """Whatever the event was. No call may be made from here: it would wait for the thread that it is in."""
        identity = domain.UUIDString()  # libvirt knows it without asking the daemon
        with self._lock:
            self._changed.add(identity)

    def take(self) -> set[str]:
        """The ids of the domains that were told of since the last time."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed
