"""Files of recorded notifications in a folder, one after the other, each of a bounded size and age."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import zstandard

from collector.archive import SUFFIX


class RecordedFiles:
    """Writes whole frames, and one file only: a new one when it is large or old enough. For one thread."""

    def __init__(self, folder: Path, name: str, most_bytes: int, most_seconds: float) -> None:
        self.folder, self.name, self.most_bytes, self.most_seconds = folder, name, most_bytes, most_seconds
        self._descriptor: int | None = None
        self._bytes = 0
        self._since = 0.0  # monotonic time of its opening

    def write(self, lines: Sequence[bytes]) -> None:
        """Returns when the lines are on disk, together. Raises OSError: then none of them is."""
        if self._descriptor is not None and self._is_done():
            self.close()
        if self._descriptor is None:
            self._descriptor = self._open()
        try:
            frame = memoryview(zstandard.ZstdCompressor().compress(b"".join(lines)))
            written = 0
            while written < len(frame):
                written += os.write(self._descriptor, frame[written:])
            os.fsync(self._descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._bytes)
            self.close()
            raise
        self._bytes += len(frame)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _is_done(self) -> bool:
        return self._bytes >= self.most_bytes or time.monotonic() - self._since >= self.most_seconds

    def _open(self) -> int:
        """A new file, its name on disk too: it says when, and sorts by that."""
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        path = self.folder / f"notifications-{moment}-{self.name}{SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._bytes, self._since = 0, time.monotonic()
        return descriptor
