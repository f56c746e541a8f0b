"""A day's samples as a file: compressed JSON Lines of the metering messages that were signed.

A line is one message, exactly: one of our own as an object, one whose text was kept as that text (as a JSON text
where it holds a line break). Beside ``samples-2026-11-27.jsonl.gz`` lies its checksum, as ``sha256sum -c`` reads it.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from django.db.models.functions import Now

from metering import messages, packing
from metering.errors import ArchiveFailed
from metering.messages import MOST_SAMPLES
from metering.models import LedgerDay, Sample
from metering.models.queries import SampleQuerySet
from metering.sifting import Rules, Sifter
from metering.signing import Keyring
from metering.store import partitions, raw_rows, reading, watermarks
from metering.store.raw_rows import Choice, Part
from metering.store.texts import Texts

SUFFIX = ".jsonl.gz"
_BLOCK = 1 << 20
_PAGE = 5_000  # rows
_LEVEL = 6  # of compression: the highest takes twice the time for half a percent


@dataclass(frozen=True, slots=True)
class Archive:
    """A file that was written and read again."""

    path: Path
    rows: int
    digest: str  # SHA-256 of the file, in hex


def write(day: date, folder: Path) -> Archive:
    """Archive what is stored of a day now; a file of before is replaced. Its size in memory is that of a page.

    Raises `ArchiveFailed` when the file would not hold every sample, or cannot be written; the file of before stays.
    """
    with watermarks.exclusive() as cursor:
        cut = watermarks.cut(cursor)
    path = folder / f"samples-{day.isoformat()}{SUFFIX}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _unfinished(path.with_name(f".{path.name}.unfinished")) as (raw, unfinished):
            written = _write(day, cut, raw)
            found = inspect(unfinished)
            if found.rows != written:
                raise ArchiveFailed(f"{unfinished} holds {found.rows} lines after {written} were written")
            _put(path, unfinished, found.digest)
    except OSError as exc:
        raise ArchiveFailed(f"the samples of {day} cannot be archived in {folder}: {exc}") from exc
    LedgerDay.objects.update_or_create(
        day=day,
        defaults={
            "archived_at": Now(), "archive": path.name, "archive_rows": found.rows, "archive_digest": found.digest,
        },
    )  # fmt: skip
    return Archive(path, found.rows, found.digest)


def keep(day: date, folder: Path) -> Archive:
    """The day's archive: that of before where it holds every sample, unchanged, else a new one.

    What lies there of a day that was dropped before is a restoring that was broken off: the archive that it came from
    must not be replaced by a part of it. Raises `ArchiveFailed`.
    """
    told, rows = LedgerDay.objects.filter(day=day).exclude(archive="").first(), _samples(day).count()
    if told is None or told.archive_rows is None:
        return write(day, folder)
    known = Archive(folder / told.archive, told.archive_rows, told.archive_digest)
    if told.dropped_at is not None and rows <= known.rows:
        return known
    try:
        if rows == known.rows and known.path.is_file() and _digest(known.path) == known.digest:
            return known
    except OSError as exc:
        raise ArchiveFailed(f"{known.path} cannot be read: {exc}") from exc
    return write(day, folder)


def inspect(path: Path) -> Archive:
    """Read a file to its end. Raises `ArchiveFailed` when it is damaged."""
    rows = sum(1 for _ in texts(path))
    try:
        return Archive(path, rows, _digest(path))
    except OSError as exc:
        raise ArchiveFailed(f"{path} cannot be read: {exc}") from exc


def faults(path: Path, keyring: Keyring, ceilometer_secrets: tuple[str, ...]) -> Iterator[str | None]:
    """Of each message why it does not verify; None of one that does. Raises `ArchiveFailed` for a damaged file."""
    checksum = path.with_name(f"{path.name}.sha256")
    if checksum.is_file() and checksum.read_text().split()[:1] != [_digest(path)]:
        raise ArchiveFailed(f"{path} is not the file that {checksum.name} was made of")
    rules = Rules(keyring, ceilometer_secrets, oldest=None, ahead=timedelta(days=36_500))
    sifter, signer, now = Sifter(rules), keyring.signer("api/archive"), datetime.now(UTC)
    messages_of = iter(texts(path))
    while some := list(islice(messages_of, MOST_SAMPLES)):
        for batch in packing.pack_whole(some, signer=signer, source="archive"):
            sifted = sifter.sift(messages.read(batch), now)
            yield from (None for _ in sifted.genuine)
            yield from (refused.reason for refused in sifted.refused)


def texts(path: Path) -> Iterator[str]:
    """The messages of an archive, or of plain JSON Lines, as they were signed. Raises `ArchiveFailed`."""
    number = 0
    try:
        with path.open("rb") as raw, _opened(raw) as stream:
            for line in stream:
                if text := line.removesuffix(b"\n").decode():
                    yield str(json.loads(text)) if text.startswith('"') else text
                number += 1
    except (OSError, EOFError, zlib.error, ValueError) as exc:
        raise ArchiveFailed(f"{path}: damaged after line {number}: {exc}") from exc


def _opened(raw: BinaryIO) -> BinaryIO:
    """The lines of a file, which may be compressed: its first bytes tell, not its name."""
    magic = raw.read(2)
    raw.seek(0)
    return cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if magic == b"\x1f\x8b" else raw


def _samples(day: date) -> SampleQuerySet:
    return Sample.objects.between(*partitions.bounds(day))


@contextmanager
def _unfinished(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """An empty file that this process alone writes; what a killed one has left is overwritten."""
    with path.open("ab") as raw:
        try:
            fcntl.flock(raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ArchiveFailed(f"another process is writing {path}") from exc
        if not path.exists() or not os.path.samestat(path.stat(), os.fstat(raw.fileno())):
            raise ArchiveFailed(f"another process has just finished {path}")
        raw.truncate(0)
        try:
            yield raw, path
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _write(day: date, cut: datetime, raw: BinaryIO) -> int:
    """Every sample recorded before ``cut``; how many. Raises `ArchiveFailed` when one cannot be told."""
    texts, rows, written = Texts(), 0, 0
    # No name and no time of day in it: the same samples give the same file.
    with gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as stream:
        for page in raw_rows.pages(Part(day), Choice(recorded_before=cut), _PAGE):
            lines = [_line(text) for text in texts.of(page)]
            stream.write(b"".join(lines))
            rows += len(page)
            written += len(lines)
    raw.flush()
    os.fsync(raw.fileno())
    if missing := rows - written:
        raise ArchiveFailed(f"{missing} samples of {day} refer to a series, metadata or signer that is gone")
    return written


def text_of(sample: Sample, original: str | None) -> str:
    """The metering message that was signed: its own text where that was kept, else packed again."""
    return json.dumps(reading.message(sample), separators=(",", ":")) if original is None else original


def _line(text: str) -> bytes:
    return (json.dumps(text) if "\n" in text else text).encode() + b"\n"


def _put(path: Path, finished: Path, digest: str) -> None:
    """Give a finished file its name, and its checksum beside it, so that a crash leaves the one of before or this."""
    checksum = path.with_name(f"{path.name}.sha256")
    unfinished = checksum.with_name(f".{checksum.name}.unfinished")
    with unfinished.open("w") as stream:
        stream.write(f"{digest}  {path.name}\n")
        stream.flush()
        os.fsync(stream.fileno())
    finished.replace(path)
    unfinished.replace(checksum)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
