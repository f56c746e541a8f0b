"""The wire format of events, both ways: events to signed batches, batches to rows that nobody believes yet.

Nobody else knows these keys. The format is told in docs/message-format.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from metering.bounds import check_text, timestamp_text
from metering.errors import MalformedBatch, MalformedMessage
from metering.events import Event
from metering.messages import opened
from metering.signing import Signer

RECORD_EVENTS = "metering.record_events"
BATCH_FORMAT = "nephometer-events/1"
EVENT_FORMAT = "nephometer-event/1"
MOST_EVENTS = 1_000  # in one batch
MOST_BYTES = 512 << 10  # of a batch that we write, unless its only event is larger

# message_id, event type, generated, traits as [name, type, text], raw, signature's hex
Row = list[Any]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """A batch as it came: nothing of it is believed yet."""

    publisher: str
    kid: str
    rows: list[Any]


def pack(events: Iterable[Event], signer: Signer) -> list[str]:
    """Signed batches of these events, in their order; none of none."""
    chunks: list[list[orjson.Fragment]] = [[]]
    size = 0
    for event in events:
        fields = fields_of(event)
        row = orjson.dumps([*fields, signer.digest(event_bytes(signer.publisher, fields))])
        if chunks[-1] and (len(chunks[-1]) == MOST_EVENTS or size + len(row) > MOST_BYTES):
            chunks.append([])
            size = 0
        chunks[-1].append(orjson.Fragment(row))
        size += len(row) + 1
    return [write(signer.publisher, signer.kid, chunk) for chunk in chunks if chunk]


def write(publisher: str, kid: str, rows: Iterable[Any]) -> str:
    """The text of a batch."""
    header = {"format": BATCH_FORMAT, "publisher": publisher, "kid": kid}
    return orjson.dumps({"header": header, "events": list(rows)}).decode()


def fields_of(event: Event) -> Row:
    """What is signed and sent of an event: texts, lists of texts, and null."""
    traits = [[trait.name, trait.type, trait.text] for trait in event.traits]
    return [event.message_id, event.event_type, timestamp_text(event.generated), traits, event.raw]


def event_bytes(publisher: str, fields: Row) -> bytes:
    """What an event's signature is made over: a compact JSON array in UTF-8, no number in it.

    Raises `MalformedMessage` for what has no such form.
    """
    try:
        return orjson.dumps([EVENT_FORMAT, publisher, *fields])
    except orjson.JSONEncodeError as exc:
        raise MalformedMessage(f"it cannot be written as UTF-8: {exc}") from exc


def read(text: str) -> EventBatch:
    """The parts of a batch, none of them believed yet. Raises `MalformedBatch`."""
    parts = opened(text)
    header = parts["header"]
    if header.get("format") != BATCH_FORMAT:
        raise MalformedBatch(f"format must be {BATCH_FORMAT}, not {str(header.get('format'))[:40]!r}")
    try:
        for name in ("publisher", "kid"):
            check_text(name, header.get(name))
    except MalformedMessage as exc:
        raise MalformedBatch(f"header: {exc}") from exc
    rows = parts.get("events")
    if not isinstance(rows, list) or len(rows) > MOST_EVENTS:
        raise MalformedBatch(f"events must be a list of at most {MOST_EVENTS}")
    return EventBatch(header["publisher"], header["kid"], rows)
