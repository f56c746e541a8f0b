"""The wire format, both ways: Counters to signed batches, batches to metering messages.

Nobody else knows a batch's keys. The format is told in docs/message-format.md.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from metering.bounds import check_series, check_text, check_volume, parse_timestamp, timestamp_text
from metering.counters import Counter, Metadata
from metering.errors import BadCounter, MalformedBatch, MalformedMessage
from metering.identity import EPOCH, id_prefix, message_id_text, series_digest
from metering.signing import (
    BATCH_FORMAT,
    SCHEME,
    Signer,
    canonical_metadata,
    header_bytes,
    metadata_digest,
    sample_bytes,
)

log = logging.getLogger(__name__)

MOST_SAMPLES = 1_000  # in one batch
MOST_BYTES = 512 << 10  # of a batch that we write
MOST_HEADER_BYTES = 16 << 10  # of them: what is left to the header
MOST_ERRORS = 100  # meters that a header names
MOST_BYTES_READ = 2 << 20  # of one that we read: a single message with metadata at its bound fits

# name, type, unit, volume, user, project, resource, timestamp, place of its metadata, message_id, signature's hex
Row = list[Any]


@dataclass(frozen=True, slots=True)
class Poll:
    """The poll that a batch is the receipt of. ``slot`` None announces a node that read nothing."""

    source: str  # the polling source's name
    slot: int | None
    shard: int = 0
    read_at: datetime | None = None
    guests: int | None = None
    errors: Mapping[str, int] = field(default_factory=dict)  # pollster -> how many of its readings failed
    dropped: Mapping[str, int] = field(default_factory=dict)  # what the spool gave up since it was made


@dataclass(frozen=True, slots=True)
class Header:
    """A batch's first part: who sent it, and which poll it is the receipt of."""

    publisher: str
    source: str  # of the samples
    samples: int
    part: int
    parts: int
    polling_source: str | None
    slot: int | None
    node: str | None
    shard: int | None
    read_at: datetime | None
    guests: int | None
    errors: Mapping[str, int]
    dropped: Mapping[str, int]
    signed_at: datetime | None  # by the publisher's clock; None from those that do not tell
    fields: Mapping[str, Any]  # all of it, as it was signed


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it came: nothing of it is believed yet."""

    header: Header
    metadata: list[str]
    rows: list[Any]
    whole: list[Any]  # texts of metering messages, each judged by its own signature


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
    return [packer.batch(chunk, number, poll, node) for number, chunk in enumerate(packer.chunks)]


@dataclass(slots=True)
class _Chunk:
    """The rows and metadata of one batch in the making."""

    metadata: dict[str, int] = field(default_factory=dict)  # canonical text -> its place
    rows: list[orjson.Fragment] = field(default_factory=list)
    bytes: int = MOST_HEADER_BYTES

    def take(self, row: Row, text: str) -> bool:
        """Whether there is room for the row with its metadata; then they are in. There is always room for a first."""
        row[8] = self.metadata.get(text, len(self.metadata))
        written = orjson.dumps(row)
        size = len(written) + 1
        if text not in self.metadata:
            size += len(orjson.dumps(text)) + 1
        if len(self.rows) == MOST_SAMPLES or (self.rows and self.bytes + size > MOST_BYTES):
            return False
        self.metadata.setdefault(text, len(self.metadata))
        self.rows.append(orjson.Fragment(written))
        self.bytes += size
        return True


@lru_cache(maxsize=20_000)  # most polls read what the last one read
def _series(
    source: str, name: str, type_: str, unit: str, resource_id: str, user_id: str | None, project_id: str | None
) -> bytes:
    """The digest of a series whose fields are in bounds. Raises `MalformedMessage`."""
    check_series(name, type_, unit, user_id, project_id, resource_id)
    return series_digest(source, name, type_, unit, resource_id, user_id, project_id)


class _Packer:
    """Turns counters into rows and rows into batches."""

    def __init__(self, signer: Signer, source: str, poll: Poll | None) -> None:
        self.signer, self.source, self.poll = signer, source, poll
        self.chunks: list[_Chunk] = []
        self.errors: Tally[str] = Tally()
        self._chunk = _Chunk()
        self._seen: dict[tuple[str, str, str, str], int] = {}
        self._fallback_origin = uuid.uuid4().hex
        self._origin: str | None = None  # the last one, and found to be in bounds
        self._moment: datetime | None = None  # of the last counter, with its text and its share of an `id_prefix`
        self._timestamp, self._milliseconds = "", 0
        self._texts: dict[int, tuple[Mapping[str, Any], str, str]] = {}  # id(metadata) -> it, its text, its digest

    def add(self, counter: Counter) -> None:
        try:
            row, text = self._row(counter)
        except (BadCounter, MalformedMessage) as exc:
            name, resource_id = getattr(counter, "name", None), getattr(counter, "resource_id", None)
            self._count(name)
            log.warning("no sample of %r for %r: %s", name, resource_id, exc)
            return
        if not self._chunk.take(row, text):
            self.flush()
            self._chunk.take(row, text)

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

    def _row(self, counter: Counter) -> tuple[Row, str]:
        if not isinstance(counter, Counter):
            raise BadCounter(f"a plugin yielded no Counter but {type(counter).__name__}")
        name, type_, unit = counter.name, str(counter.type), counter.unit
        user_id, project_id, resource_id = counter.user_id, counter.project_id, counter.resource_id
        try:
            series = _series(self.source, name, type_, unit, resource_id, user_id, project_id)
        except TypeError as exc:  # unhashable, and so no text
            raise BadCounter(f"a field that should be text is none: {exc}") from exc
        volume = check_volume(counter.volume)
        if counter.timestamp is None or counter.timestamp is not self._moment:
            self._read_clock(counter.timestamp)
        text, digest = self._metadata(counter.resource_metadata)
        identity = self._identity(series, counter)
        signed = sample_bytes(
            self.signer.publisher, self.source, name, type_, unit, volume,
            user_id, project_id, resource_id, self._timestamp, digest, identity,
        )  # fmt: skip
        signature = self.signer.digest(signed)
        return [
            name,
            type_,
            unit,
            volume,
            user_id,
            project_id,
            resource_id,
            self._timestamp,
            0,
            identity,
            signature,
        ], text

    def _read_clock(self, moment: datetime | None) -> None:
        """Take on the time of the next counters: nearly all of a poll have one."""
        if moment is None:
            raise BadCounter("it has no timestamp")
        timestamp = timestamp_text(moment)
        if moment < EPOCH:
            raise BadCounter(f"its timestamp {timestamp} lies before 1970")
        self._moment, self._timestamp, self._milliseconds = moment, timestamp, id_prefix(bytes(4), moment)

    def _metadata(self, metadata: Mapping[str, Any]) -> tuple[str, str]:
        """Its canonical text and digest; a pollster hands the same mapping to many counters."""
        written: tuple[str, str] | None = getattr(metadata, "written", None)
        if written is not None:
            return written
        known = self._texts.get(id(metadata))
        if known is None:
            text = canonical_metadata(metadata)
            known = self._texts[id(metadata)] = (metadata, text, metadata_digest(text))
            if isinstance(metadata, Metadata):
                metadata.written = known[1], known[2]
        return known[1], known[2]

    def _identity(self, series: bytes, counter: Counter) -> str:
        origin = counter.origin or self._fallback_origin
        if origin is not self._origin:
            check_text("origin", origin)
            self._origin = origin
        reading = (origin, counter.name, counter.resource_id, self._timestamp)
        occurrence = self._seen.get(reading, 0)
        self._seen[reading] = occurrence + 1
        if occurrence and self.poll is not None:
            self._count(counter.name, ": read twice")
            log.warning("%s of %s was read more than once in one poll", counter.name, counter.resource_id)
        prefix = self._milliseconds | int.from_bytes(series[:4], "big")
        return message_id_text(prefix, origin, counter.name, counter.resource_id, self._timestamp, occurrence)

    def batch(self, chunk: _Chunk, number: int, poll: Poll | None, node: str | None) -> str:
        return _text(
            _header(self.signer, self.source, len(chunk.rows), number, len(self.chunks), poll, node),
            list(chunk.metadata),
            chunk.rows,
            [],
        )


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
        _text(_header(signer, source, len(group), number, len(groups), None, None), [], [], group)
        for number, group in enumerate(groups)
        if group
    ]


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


def _text(header: dict[str, Any], metadata: list[str], rows: list[orjson.Fragment], whole: list[str]) -> str:
    return orjson.dumps({"header": header, "metadata": metadata, "rows": rows, "whole": whole}).decode()


def read(text: str) -> Batch:
    """The parts of a batch, none of them believed yet. Raises `MalformedBatch`."""
    if not isinstance(text, str):
        raise MalformedBatch(f"a batch is one text, not {type(text).__name__}")
    if len(text) > MOST_BYTES_READ:
        raise MalformedBatch(f"longer than {MOST_BYTES_READ} characters")
    try:
        parts = orjson.loads(text)  # refuses what nests deeper than 1,024
    except ValueError as exc:
        raise MalformedBatch(f"not JSON: {exc}") from exc
    if not isinstance(parts, dict) or not isinstance(parts.get("header"), dict):
        raise MalformedBatch("it has no header")
    metadata, rows, whole = (parts.get(name) for name in ("metadata", "rows", "whole"))
    if not isinstance(metadata, list) or not isinstance(rows, list) or not isinstance(whole, list):
        raise MalformedBatch("metadata, rows and whole must be lists")
    if len(rows) + len(whole) > MOST_SAMPLES:
        raise MalformedBatch(f"more than {MOST_SAMPLES} samples")
    if not all(isinstance(item, str) for item in metadata):
        raise MalformedBatch("metadata must be texts")
    return Batch(_read_header(parts["header"]), metadata, rows, whole)


def _read_header(fields: dict[str, Any]) -> Header:
    try:
        if fields.get("format") != BATCH_FORMAT:
            raise MalformedBatch(f"format must be {BATCH_FORMAT}, not {str(fields.get('format'))[:40]!r}")
        for name in ("publisher", "source"):
            check_text(name, fields.get(name))
        for name in ("polling_source", "node"):
            check_text(name, fields.get(name), null=True)
        read_at, signed_at = fields.get("read_at"), fields.get("signed_at")
        return Header(
            publisher=fields["publisher"],
            source=fields["source"],
            samples=_whole_number(fields, "samples", MOST_SAMPLES) or 0,
            part=_whole_number(fields, "part", 32_000) or 0,
            parts=_whole_number(fields, "parts", 32_000) or 0,
            polling_source=fields.get("polling_source"),
            slot=_whole_number(fields, "slot", 1 << 53),
            node=fields.get("node"),
            shard=_whole_number(fields, "shard", 100_000),
            read_at=parse_timestamp(read_at) if read_at is not None else None,
            guests=_whole_number(fields, "guests", (1 << 31) - 1),
            errors=_tally(fields, "errors"),
            dropped=_tally(fields, "dropped"),
            signed_at=parse_timestamp(signed_at) if signed_at is not None else None,
            fields=fields,
        )
    except MalformedMessage as exc:
        raise MalformedBatch(f"header: {exc}") from exc


def _whole_number(fields: Mapping[str, Any], name: str, most: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise MalformedMessage(f"{name} must be a whole number from 0 to {most}")
    return value


def _tally(fields: Mapping[str, Any], name: str) -> dict[str, int]:
    value = fields.get(name) or {}
    if not isinstance(value, dict) or len(value) > 1_000:
        raise MalformedMessage(f"{name} must be an object")
    for label in value:
        check_text(f"a name in {name}", label)
        _whole_number(value, label, 1 << 53)
    return value


def plain(header: Header, row: Row, metadata: Any) -> dict[str, Any]:
    """A row of a batch as a plain metering message, the public form of a sample."""
    kid = str(header.fields.get("signature")).split(":")[1:2]
    signature = f"{SCHEME}:{''.join(kid)}:{row[10]}"
    return message(header.publisher, header.source, row, metadata, signature)


def message(publisher: str, source: str, row: Row, metadata: Any, signature: str) -> dict[str, Any]:
    """A metering message: the flat dictionary that any reader of our bus gets, and that the API serves."""
    return {
        "source": source,
        "counter_name": row[0],
        "counter_type": row[1],
        "counter_unit": row[2],
        "counter_volume": row[3],
        "user_id": row[4],
        "project_id": row[5],
        "resource_id": row[6],
        "timestamp": row[7],
        "resource_metadata": metadata,
        "message_id": row[9],
        "publisher_id": publisher,
        "message_signature": signature,
    }


def unpack(text: str) -> Iterator[dict[str, Any]]:
    """The plain metering messages of a batch, for whoever reads our bus. They are not verified here.

    Raises `MalformedBatch`.
    """
    batch = read(text)
    try:
        bodies = [_object(body) for body in batch.metadata]
        for row in batch.rows:
            yield plain(batch.header, [*row[:3], float(row[3]), *row[4:]], bodies[row[8]])
        for body in batch.whole:
            yield _object(body)
    except (ValueError, TypeError, LookupError, RecursionError) as exc:
        raise MalformedBatch(f"a row is not of the batch's form: {exc}") from exc


def _object(text: str) -> dict[str, Any]:
    """What was signed: orjson would make whole numbers beyond 64 bits floats."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} instead of an object")
    return value
