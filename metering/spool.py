"""What a host has read and the broker has not confirmed yet. Pure Python, files only.

A poll is written here, whole and synced, before its first batch is sent, and removed once the last one is
confirmed. So a crash or a broker that is away repeats bytes, never a reading.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

log = logging.getLogger(__name__)

Key = tuple[str, int, int]  # polling source, slot, shard
_LONGEST_NAME = 150  # characters: file systems take 255 bytes
_REMEMBERED = 10_000  # polls in the done-log: hours of them, at any interval


class _Kept(NamedTuple):
    """As a file: on the first line how many samples, and characters to come; on each other a batch, compact JSON."""

    samples: int
    batches: list[str]


class Spool:
    """The spool of one publisher, in a folder of its own, used by one worker and its announcer."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self.directory, self._limit = directory, limit_bytes
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._done_log = directory / "done"
        self._dropped_file = directory / "dropped.json"

    def state(self, key: Key) -> Literal["new", "spooled", "done"]:
        """What became of a poll: unknown here, waiting for the broker, or confirmed."""
        if self._file(key).exists():
            return "spooled"
        return "done" if self._name(key) in self._done() else "new"

    def write(self, key: Key, batches: list[str], samples: int) -> None:
        """Keep a poll's signed batches, durably; the oldest polls make room for it when the spool is full."""
        lines = "\n".join(batches)
        body = f"{samples} {len(lines)}\n{lines}"
        with self._locked():
            self._make_room(len(body))
            write_durably(self._file(key), body)

    def flush(self, send: Callable[[str], None]) -> int:
        """Send every poll kept here, oldest first; how many. What ``send`` raises ends it and keeps the rest."""
        sent = 0
        with self._locked():
            for file in self._polls():
                kept = self._read(file)
                if kept is None:
                    continue
                for batch in kept.batches:
                    send(batch)
                self._remember(file.stem)
                file.unlink()
                sent += 1
        return sent

    @property
    def dropped(self) -> Mapping[str, int]:
        """Polls and samples given up because the spool was full, since it was made."""
        try:
            dropped: dict[str, int] = json.loads(self._dropped_file.read_text())
        except FileNotFoundError:
            return {}
        return dropped

    def _read(self, file: Path) -> _Kept | None:
        """A kept poll. One that a bad disk has spoilt is set aside, so that it does not stop the others."""
        try:
            first, _, lines = file.read_text().partition("\n")
            samples, length = map(int, first.split(" "))
            if len(lines) != length:
                raise ValueError("it is cut short")
        except ValueError as exc:
            self._count_dropped(0)
            file.rename(file.with_suffix(".broken"))
            log.error("the poll %s cannot be read and is set aside: %s", file.stem, exc)
            return None
        return _Kept(samples, lines.split("\n"))

    def _count_dropped(self, samples: int) -> None:
        dropped = self.dropped
        counts = {"polls": dropped.get("polls", 0) + 1, "samples": dropped.get("samples", 0) + samples}
        write_durably(self._dropped_file, json.dumps(counts))

    def _make_room(self, needed: int) -> None:
        polls = self._polls()
        held = sum(file.stat().st_size for file in polls)
        for file in polls:
            if held + needed <= self._limit:
                return
            held -= file.stat().st_size
            kept = self._read(file)
            if kept is None:
                continue
            self._count_dropped(kept.samples)
            file.unlink()
            log.error("the spool is full: %s with %d samples was dropped", file.stem, kept.samples)

    def _polls(self) -> list[Path]:
        """The kept polls, oldest first."""
        return sorted(self.directory.glob("*.poll"), key=lambda file: (file.stat().st_mtime_ns, file.name))

    def _name(self, key: Key) -> str:
        source, slot, shard = key
        name = quote(source, safe="")
        if len(name) > _LONGEST_NAME:
            name = hashlib.sha256(source.encode()).hexdigest()
        return f"{slot}-{shard}-{name}"

    def _file(self, key: Key) -> Path:
        return self.directory / f"{self._name(key)}.poll"

    def _done(self) -> list[str]:
        return self._done_log.read_text().splitlines() if self._done_log.exists() else []

    def _remember(self, name: str) -> None:
        text = self._done_log.read_text() if self._done_log.exists() else ""
        names, whole = text.splitlines(), text.endswith("\n") or not text  # a full disk may have torn the last line
        if len(names) >= 2 * _REMEMBERED:
            write_durably(self._done_log, "".join(f"{name}\n" for name in names[-_REMEMBERED:]))
        with self._done_log.open("a") as done_log:
            done_log.write(f"{name}\n" if whole else f"\n{name}\n")
            done_log.flush()
            os.fsync(done_log.fileno())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time: the poll's task and the announcer are two processes."""
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def write_durably(file: Path, text: str) -> None:
    """All of it or none of it, also when the power fails."""
    scratch = file.with_suffix(".new")
    with scratch.open("w") as scratch_file:
        scratch_file.write(text)
        scratch_file.flush()
        os.fsync(scratch_file.fileno())
    scratch.rename(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
