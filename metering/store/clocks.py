"""Is a node's clock right? Its samples carry its time, and bills are made by it.

A batch never says how long it was on its way, so one time of it cannot tell a slow way from a clock that is behind.
But a batch cannot arrive before it was signed, and a poll cannot be read before it was ordered: the two bound the
error from both sides, whatever the way took. The control plane's machines are taken to agree with each other.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

log = logging.getLogger(__name__)

WRONG_SECONDS = 5.0  # off by more than this, a clock is warned of
FRESH = timedelta(minutes=5)  # what was on its way for longer says nothing of the clock's state now

_warned: set[str] = set()  # publishers, so that each is warned of once, not at each batch


def skew(now: datetime, signed_at: datetime | None, read_at: datetime | None, due: datetime | None) -> float | None:
    """By how many seconds a publisher's clock must be off at least: above 0 ahead, below 0 behind, 0 not visibly.

    ``now`` and ``due`` (of the poll, None without one) are by our clock, ``signed_at`` and ``read_at`` by its own.
    None: this batch does not tell.
    """
    made = signed_at or read_at
    if made is None:
        return None
    if made > now:
        return (made - now).total_seconds()
    if due is not None and read_at is not None:
        if now - due > FRESH:
            return None
        return min((read_at - due).total_seconds(), 0.0)
    # With no order to compare with, it was late on its way, or its clock is behind.
    return 0.0 if now - made < timedelta(seconds=WRONG_SECONDS) else None


def is_wrong(seconds: float | None) -> bool:
    """Whether a clock that is off by so much is to be mended."""
    return seconds is not None and abs(seconds) > WRONG_SECONDS


def forget() -> None:
    """As a process does that starts: nobody has been warned of."""
    _warned.clear()


def warn(publisher: str, seconds: float | None) -> None:
    """Say in the log when a clock is found to be wrong, and when it is right again."""
    if seconds is None or is_wrong(seconds) == (publisher in _warned):
        return
    if is_wrong(seconds):
        _warned.add(publisher)
        way = "ahead" if seconds > 0 else "behind"
        log.warning(
            "the clock of %s is %s by at least %.1f s: its samples carry that time", publisher, way, abs(seconds)
        )
    else:
        _warned.discard(publisher)
        log.warning("the clock of %s is right again", publisher)
