"""What makes two samples the same one: the digest of a series and the id of a reading. Pure Python."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta

import orjson

from metering.bounds import timestamp_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOREIGN_IDS = uuid.UUID("b0c8a5a4-51c5-5a11-9f5f-6a0f6f7d7e2c")  # names the version-5 UUIDs of ids that are none

_MILLISECOND = timedelta(milliseconds=1)


def series_digest(
    source: str,
    name: str,
    type_: str,
    unit: str,
    resource_id: str,
    user_id: str | None,
    project_id: str | None,
) -> bytes:
    """SHA-256 of what all samples of a series share; null and '' differ."""
    return hashlib.sha256(orjson.dumps((source, name, type_, unit, resource_id, user_id, project_id))).digest()


def series_text_digest(text: str) -> bytes:
    """The same, of the compact JSON array of these fields."""
    return hashlib.sha256(text.encode()).digest()


def id_prefix(digest: bytes, moment: datetime) -> int:
    """What a message_id says of its sample: 48 bits of milliseconds, then the series' 32 bits of tag."""
    milliseconds = (moment - EPOCH) // _MILLISECOND
    return milliseconds << 32 | int.from_bytes(digest[:4], "big")


def message_id(digest: bytes, moment: datetime, origin: str, name: str, resource_id: str, occurrence: int) -> uuid.UUID:
    """The id of a reading: the same reading, read or sent again, has the same.

    A version-8 UUID (RFC 9562): `id_prefix`, then 42 bits of SHA-256 over what the reading came from.
    """
    reading = orjson.dumps((origin, name, resource_id, timestamp_text(moment), occurrence)).decode()
    return uuid.UUID(IdPrefix(moment).message_id(digest, reading))


class IdPrefix:
    """What the ids of all readings of one moment begin with."""

    def __init__(self, moment: datetime) -> None:
        digits = f"{(moment - EPOCH) // _MILLISECOND:012x}"
        self._first = f"{digits[:8]}-{digits[8:]}-8"  # the 8 is the version

    def message_id(self, digest: bytes, reading: str) -> str:
        """The id as it is written: of a reading of a series, told as a JSON array (see `message_id`)."""
        tag = int.from_bytes(digest[:4], "big")
        hashed = int.from_bytes(hashlib.sha256(reading.encode()).digest()[:6], "big") >> 6
        rest = f"{0b10 << 62 | (tag & 0xFFFFF) << 42 | hashed:016x}"  # 0b10 is the variant
        return f"{self._first}{tag >> 20:03x}-{rest[:4]}-{rest[4:]}"


def prefix_of(number: int) -> int:
    """The `id_prefix` that a message_id (as a number) would have if it is one of ours."""
    return number >> 80 << 32 | (number >> 64 & 0xFFF) << 20 | (number >> 42 & 0xFFFFF)


def stored_id(text: str) -> uuid.UUID:
    """What a message is stored under: its id where that is a UUID in its one form, else the name that it got."""
    try:
        known = uuid.UUID(text)
    except ValueError:
        known = None
    return known if known is not None and str(known) == text else uuid.uuid5(FOREIGN_IDS, text)
