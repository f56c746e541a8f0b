"""The whole key of a sample as one short text, for addresses that must name one row."""

from __future__ import annotations

import base64
import binascii
import struct
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = struct.Struct(">qq")


@dataclass(frozen=True, slots=True)
class Locator:
    """Series, time and message_id: a message_id alone may stand in two rows, and says only where to look."""

    series_id: int
    ts: datetime
    message_id: uuid.UUID

    @property
    def text(self) -> str:
        """43 characters that a URL takes as they are."""
        microseconds = (self.ts - _EPOCH) // timedelta(microseconds=1)
        packed = _NUMBERS.pack(self.series_id, microseconds) + self.message_id.bytes
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> Locator | None:
        """What ``text`` names, or None when it is no locator."""
        try:
            packed = base64.b64decode(text.encode() + b"=", altchars=b"-_", validate=True)
            series_id, microseconds = _NUMBERS.unpack(packed[:16])
            ts = _EPOCH + timedelta(microseconds=microseconds)
            return cls(series_id, ts, uuid.UUID(bytes=packed[16:]))
        except (ValueError, OverflowError, binascii.Error, struct.error):
            return None
