"""The wire format, written: Counters to signed batches. `messages` reads it; nobody else knows a batch's keys.

This is done for each sample of each poll: texts that samples share are written as JSON once, and put together.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from metering.bounds import check_series, check_text, check_volume, timestamp_text
from metering.counters import Counter, Metadata
from metering.errors import BadCounter, MalformedMessage
from metering.identity import EPOCH, IdPrefix, series_text_digest
from metering.messages import MOST_BYTES, MOST_HEADER_BYTES, MOST_SAMPLES, Poll
from metering.signing import (
    BATCH_FORMAT,
    Signer,
    canonical_metadata,
    header_bytes,
    metadata_digest,
    signed_head,
    signed_text,
)

log = logging.getLogger(__name__)

MOST_ERRORS = 100  # meters that a header names
LONGEST_PLACE = 4  # digits of a metadata's place in a batch, with its comma


def pack(
    counters: Iterable[Counter],
    *,
    signer: Signer,
    source: str,
    poll: Poll | None = None,
    node: str | None = None,
) -> list[str]:
    """Signed batches of at most `MOST_SAMPLES` and `MOST_BYTES`; with a poll at least one, its receipt.

    A counter that cannot be a sample is logged and counted among the poll's errors; the others go out.
    """
    packer = _Packer(signer, source, poll)
    for counter in counters:
        packer.add(counter)
    if poll is not None:
        poll = replace(poll, errors=dict(Tally(poll.errors) + packer.errors))
        packer.flush(even_empty=not packer.chunks)
    else:
        packer.flush()
    chunks = packer.chunks
    return [
        _text(
            _header(signer, source, len(chunk.rows), number, len(chunks), poll, node), list(chunk.metadata), chunk.rows
        )
        for number, chunk in enumerate(chunks)
    ]


def pack_whole(texts: list[str], *, signer: Signer, source: str) -> list[str]:
    """Batches of metering messages as they came; each will be judged by its own signature, not by ours."""
    groups: list[list[str]] = [[]]
    size = 0
    for text in texts:
        if groups[-1] and (len(groups[-1]) == MOST_SAMPLES or size + 2 * len(text) > MOST_BYTES):
            groups.append([])
            size = 0
        groups[-1].append(text)
        size += 2 * len(text)
    return [
        _text(_header(signer, source, len(group), number, len(groups), None, None), whole=group)
        for number, group in enumerate(groups)
        if group
    ]


class _Series(NamedTuple):
    """The fields of a series, found to be in bounds, as JSON."""

    digest: bytes
    meter: str  # its name, type and unit
    owner: str  # user, project and resource
    reading: str  # name and resource, for the message_id


@lru_cache(maxsize=20_000)  # most polls read what the last one read
def _series(
    source: str, name: str, type_: str, unit: str, resource_id: str, user_id: str | None, project_id: str | None
) -> _Series:
    """Raises `MalformedMessage` for a field that is out of bounds."""
    check_series(name, type_, unit, user_id, project_id, resource_id)
    meter, quoted_name = _meter(name, type_, unit)
    resource = orjson.dumps(resource_id).decode()
    user, project = _id(user_id), _id(project_id)
    digest = series_text_digest(f"[{_id(source)},{meter},{resource},{user},{project}]")
    return _Series(digest, meter, f"{user},{project},{resource}", f"{quoted_name},{resource}")


@lru_cache(maxsize=4_096)
def _meter(name: str, type_: str, unit: str) -> tuple[str, str]:
    """All three, and the name alone."""
    return orjson.dumps((name, type_, unit)).decode()[1:-1], orjson.dumps(name).decode()


@lru_cache(maxsize=4_096)
def _id(text: str | None) -> str:
    return orjson.dumps(text).decode()


@dataclass(slots=True)
class _Chunk:
    """The rows and metadata of one batch in the making, as JSON."""

    metadata: dict[str, int] = field(default_factory=dict)  # text, quoted -> its place
    rows: list[str] = field(default_factory=list)
    bytes: int = MOST_HEADER_BYTES

    def take(self, row: _Row) -> bool:
        """Whether there is room for the row with its metadata; then they are in. There is always room for a first."""
        place = self.metadata.get(row.metadata)
        size = _size(row.before) + len(row.after) + LONGEST_PLACE
        if place is None:
            size += len(row.metadata) + 1
        if len(self.rows) == MOST_SAMPLES or (self.rows and self.bytes + size > MOST_BYTES):
            return False
        if place is None:
            place = self.metadata[row.metadata] = len(self.metadata)
        self.rows.append(f"{row.before}{place}{row.after}")
        self.bytes += size
        return True


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


class _Row(NamedTuple):
    """A sample as a row of a batch, but for the place of its metadata."""

    before: str
    after: str
    metadata: str  # its canonical text, quoted; always ASCII


class _Packer:
    """Turns counters into rows, and rows into the chunks that become batches."""

    def __init__(self, signer: Signer, source: str, poll: Poll | None) -> None:
        self.signer, self.source, self.poll = signer, source, poll
        self.chunks: list[_Chunk] = []
        self.errors: Tally[str] = Tally()
        self._chunk = _Chunk()
        self._head = signed_head(signer.publisher, source)
        self._seen: dict[str, int] = {}
        self._fallback_origin = uuid.uuid4().hex
        self._origin: str | None = None  # the last one, found to be in bounds
        self._quoted_origin = ""
        self._moment: datetime | None = None  # of the last counter, with its text and its share of an id
        self._timestamp, self._prefix = "", IdPrefix(EPOCH)
        self._texts: dict[int, tuple[Mapping[str, Any], tuple[str, str]]] = {}  # id(metadata) -> it, what is written

    def add(self, counter: Counter) -> None:
        try:
            row = self._row(counter)
        except (BadCounter, MalformedMessage) as exc:
            name, resource_id = getattr(counter, "name", None), getattr(counter, "resource_id", None)
            self._count(name)
            log.warning("no sample of %r for %r: %s", name, resource_id, exc)
            return
        if not self._chunk.take(row):
            self.flush()
            self._chunk.take(row)

    def flush(self, *, even_empty: bool = False) -> None:
        if self._chunk.rows or even_empty:
            self.chunks.append(self._chunk)
        self._chunk = _Chunk()

    def _count(self, name: object, fault: str = "") -> None:
        """Count an error under its meter, as far as a header may name it."""
        try:
            check_text("counter_name", name)
        except MalformedMessage:
            name = "?"
        label = f"{str(name)[:100]}{fault}"
        self.errors[label if label in self.errors or len(self.errors) < MOST_ERRORS else "?"] += 1

    def _row(self, counter: Counter) -> _Row:
        if not isinstance(counter, Counter):
            raise BadCounter(f"a plugin yielded no Counter but {type(counter).__name__}")
        try:
            series = _series(
                self.source, counter.name, str(counter.type), counter.unit,
                counter.resource_id, counter.user_id, counter.project_id,
            )  # fmt: skip
        except TypeError as exc:  # unhashable, and so no text
            raise BadCounter(f"a field that should be text is none: {exc}") from exc
        volume = check_volume(counter.volume)
        if counter.timestamp is None or counter.timestamp is not self._moment:
            self._read_clock(counter.timestamp)
        metadata, digest = self._metadata(counter.resource_metadata)
        identity = self._identity(series, counter)
        signed = signed_text(self._head, series.meter, volume, series.owner, self._timestamp, digest, identity)
        return _Row(
            f'[{series.meter},{volume!r},{series.owner},"{self._timestamp}",',
            f',"{identity}","{self.signer.digest(signed)}"]',
            metadata,
        )

    def _read_clock(self, moment: datetime | None) -> None:
        """Take on the time of the next counters: nearly all of a poll have one."""
        if moment is None:
            raise BadCounter("it has no timestamp")
        timestamp = timestamp_text(moment)
        if moment < EPOCH:
            raise BadCounter(f"its timestamp {timestamp} lies before 1970")
        self._moment, self._timestamp, self._prefix = moment, timestamp, IdPrefix(moment)

    def _metadata(self, metadata: Mapping[str, Any]) -> tuple[str, str]:
        """Its canonical text, quoted, and its digest; a pollster hands the same mapping to many counters."""
        written: tuple[str, str] | None = getattr(metadata, "written", None)
        if written is not None:
            return written
        known = self._texts.get(id(metadata))
        if known is None:
            known = self._texts[id(metadata)] = metadata, write_metadata(metadata)
            if isinstance(metadata, Metadata):
                metadata.written = known[1]
        return known[1]

    def _identity(self, series: _Series, counter: Counter) -> str:
        origin = counter.origin or self._fallback_origin
        if origin is not self._origin:
            check_text("origin", origin)
            self._origin, self._quoted_origin = origin, orjson.dumps(origin).decode()
        reading = f'{self._quoted_origin},{series.reading},"{self._timestamp}"'
        occurrence = self._seen.get(reading, 0)
        self._seen[reading] = occurrence + 1
        if occurrence and self.poll is not None:
            self._count(counter.name, ": read twice")
            log.warning("%s of %s was read more than once in one poll", counter.name, counter.resource_id)
        return self._prefix.message_id(series.digest, f"[{reading},{occurrence}]")


def write_metadata(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """What is kept in ``Metadata.written``. Raises `MalformedMessage` for metadata that is out of bounds."""
    text = canonical_metadata(metadata)
    return orjson.dumps(text).decode(), metadata_digest(text)


def _header(
    signer: Signer, source: str, samples: int, part: int, parts: int, poll: Poll | None, node: str | None
) -> dict[str, Any]:
    header: dict[str, Any] = {
        "format": BATCH_FORMAT,
        "publisher": signer.publisher,
        "source": source,
        "samples": samples,
        "part": part,
        "parts": parts,
        "polling_source": poll.source if poll else None,
        "slot": poll.slot if poll else None,
        "node": (node or signer.publisher.partition("/")[2]) if poll else None,
        "shard": poll.shard if poll else None,
        "read_at": timestamp_text(poll.read_at) if poll and poll.read_at else None,
        "guests": poll.guests if poll else None,
        "errors": dict(poll.errors) if poll else None,
        "dropped": dict(poll.dropped) if poll else None,
        "signed_at": timestamp_text(datetime.now(UTC)),
    }
    header["signature"] = signer.sign(header_bytes(header))
    return header


def _text(
    header: dict[str, Any], metadata: Iterable[str] = (), rows: Iterable[str] = (), whole: Iterable[str] = ()
) -> str:
    """The batch; metadata and rows are JSON already."""
    return (
        f'{{"header":{orjson.dumps(header).decode()},"metadata":[{",".join(metadata)}],'
        f'"rows":[{",".join(rows)}],"whole":{orjson.dumps(list(whole)).decode()}}}'
    )
