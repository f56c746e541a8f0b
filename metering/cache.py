"""The cache that processes share: Redis, where there is one. Nothing in it must be kept.

A request never fails for it: while Redis is away every question is without an answer, and that is logged once.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

REST_SECONDS = 5.0  # after a failure nobody asks for so long: meanwhile no request waits for it


class PlainSerializer:
    """JSON: a pickle, Django's own way, would let whoever writes to Redis run programs in whoever reads it."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, text: bytes) -> Any:
        return json.loads(text)


def get(key: str) -> Any:
    """None when there is none, or nobody to ask."""
    return _asked(lambda: cache.get(key))


def put(key: str, value: Any, seconds: float) -> None:
    """Kept for so many seconds, if there is anybody to keep it."""
    _asked(lambda: cache.set(key, value, max(1, int(seconds))))


def count(key: str, seconds: int) -> int | None:
    """How often it was counted since it was first, this time too; it is forgotten after so many seconds."""
    counted: int | None = _asked(lambda: 1 if cache.add(key, 1, seconds) else cache.incr(key))
    return counted


def forget() -> None:
    """Ask at once, also after a failure."""
    _state.rests_until = 0.0


class _State:
    """Whether it answers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rests_until = 0.0  # by the monotonic clock; 0 while it answers


_state = _State()


def _asked(question: Callable[[], Any]) -> Any:
    if time.monotonic() < _state.rests_until:
        return None
    try:
        answer = question()
    except RedisError as exc:
        with _state.lock:
            first, _state.rests_until = not _state.rests_until, time.monotonic() + REST_SECONDS
        if first:
            log.error("the cache does not answer, and is done without: %s", exc)
        return None
    except ValueError:  # it went between two questions, or is nothing that we wrote
        return None
    if _state.rests_until:
        _state.rests_until = 0.0
        log.warning("the cache answers again")
    return answer
