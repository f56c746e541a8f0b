"""How much counts have grown from poll to poll: what delta samples tell.

A growth must be told once, whatever ends in between. So what was counted is written down, durably, before the
poll's samples are spooled, as *new*, together with the poll's key; and it counts as told only when the spool has
that poll. A worker that ends before the spool leaves growth to the next poll, one that ends after it tells nothing
twice, and a restart loses nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict

from metering.spool import Key, write_durably

log = logging.getLogger(__name__)

REMEMBERED_SECONDS = 7 * 86_400  # of a guest that is gone, off or unreadable: it may come back


class Counted(TypedDict):
    """What was counted of one guest."""

    run: int  # of the guest: in another one all counts started again from zero
    seen: float  # when, seconds since the epoch
    counts: dict[str, int]


Guests = dict[str, Counted]  # by instance id


class Growths:
    """The counts of the last poll, in a file for each polling source. For one worker; polls come one at a time."""

    def __init__(self, folder: Path, kept: Callable[[Key], bool]) -> None:
        """``kept`` tells whether the samples of a poll were spooled."""
        self._folder, self._kept = folder, kept
        self._before: Guests | None = None  # None: no poll is going on
        self._new: Guests = {}

    @contextlib.contextmanager
    def poll(self, key: Key, now: float) -> Iterator[None]:
        """Within it, `growth` is since the last poll of the same source."""
        file = self._file(key[0])
        self._before, self._new = self._settled(file), {}
        try:
            yield
            if self._new:
                recent = {
                    name: guest for name, guest in self._before.items() if guest["seen"] > now - REMEMBERED_SECONDS
                }
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_durably(file, json.dumps({"told": recent, "poll": key, "new": self._new}))
        finally:
            self._before = None

    def growth(self, identity: str, run: int, now: float, what: str, count: int) -> int:
        """How much a guest's count has grown; 0 the first time, and outside of a poll."""
        if self._before is None:
            return 0
        guest = self._new.setdefault(identity, Counted(run=run, seen=now, counts={}))
        guest["counts"][what] = count
        before = self._before.get(identity)
        if before is None or what not in before["counts"]:
            return 0
        told = before["counts"][what]
        return count if before["run"] != run or count < told else count - told

    def _settled(self, file: Path) -> Guests:
        """What was counted in the last poll that was kept, and before it what that one did not count."""
        try:
            written = json.loads(file.read_text())
            told, new = _guests(written["told"]), _guests(written["new"])
            source, slot, shard = written["poll"]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as exc:
            log.error("%s cannot be read: what grew since the last poll is not told (%s)", file, exc)
            return {}
        if self._kept((source, slot, shard)):
            for identity, guest in new.items():
                if before := told.get(identity):
                    same_run = before["run"] == guest["run"]
                    old = before["counts"] if same_run else dict.fromkeys(before["counts"], 0)
                    guest["counts"] = old | guest["counts"]
                told[identity] = guest
        return told

    def _file(self, source: str) -> Path:
        readable = re.sub(r"[^A-Za-z0-9_-]", "_", source)[:50]
        return self._folder / f"{readable}-{hashlib.sha256(source.encode()).hexdigest()[:16]}.json"


def _guests(written: Any) -> Guests:
    """What a file holds. Raises ValueError, LookupError, TypeError or AttributeError for anything else."""
    return {
        str(identity): Counted(
            run=int(guest["run"]),
            seen=float(guest["seen"]),
            counts={str(what): int(count) for what, count in guest["counts"].items()},
        )
        for identity, guest in written.items()
    }
