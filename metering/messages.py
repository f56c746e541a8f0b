"""The wire format, read: batches to metering messages. `packing` writes it; nobody else knows a batch's keys.

The format is told in docs/message-format.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from metering.bounds import check_text, parse_timestamp
from metering.errors import MalformedBatch, MalformedMessage
from metering.signing import (
    BATCH_FORMAT,
    SCHEME,
)

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


def opened(text: str) -> dict[str, Any]:
    """The parts of a batch of any form, which has a header. Raises `MalformedBatch`."""
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
    return parts


def read(text: str) -> Batch:
    """The parts of a batch, none of them believed yet. Raises `MalformedBatch`."""
    parts = opened(text)
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
