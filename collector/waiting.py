"""Waiting: until something that failed may be tried again, and until something is due again."""

from __future__ import annotations

import time
from dataclasses import dataclass

LONGEST_BACKOFF = 30.0  # seconds


@dataclass(slots=True)
class Backoff:
    """Waits that double from one second, until something works again."""

    until: float = 0.0
    _wait: float = 0.0

    def failed(self) -> float:
        """Seconds to wait now."""
        self._wait = min(max(1.0, 2 * self._wait), LONGEST_BACKOFF)
        self.until = time.monotonic() + self._wait
        return self._wait

    def worked(self) -> None:
        self.until = self._wait = 0.0

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until


class Every:
    """True once in so many seconds; the first time at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
