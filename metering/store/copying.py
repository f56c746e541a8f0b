"""Samples as COPY takes them in its binary form: no text to write here, and none to read there.

The form is PostgreSQL's: https://www.postgresql.org/docs/current/sql-copy.html. Times are microseconds from 2000.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any

from metering.sifting import Genuine
from metering.store.keys import Ids

COLUMNS = "series_id, ts, message_id, volume, recorded_at, metadata_id, signer_id, signature"
_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
_TAIL = b"\xff\xff"
# The number of columns, then each with its length before it. Big-endian, so that rows sort by their key.
_ROW = struct.Struct(">h" + "ii" + "iq" + "i16s" + "id" + "iq" + "ii" + "ii" + "i32s")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def packed(genuine: Sequence[Genuine], ids: Ids, recorded_at: datetime) -> list[bytes]:
    """A row each, in the order of their key, which is the same for every worker."""
    series, times, volumes, metadata, identities, signers, signatures, _, _ = zip(*genuine, strict=True)
    moments = {moment: (moment - _EPOCH) // _MICROSECOND for moment in set(times)}
    raw = bytes.fromhex("".join(identities).replace("-", ""))
    four, eight = repeat(4), repeat(8)
    return sorted(
        map(
            _ROW.pack,
            repeat(8), four, [ids.series[one.digest] for one in series],
            eight, map(moments.__getitem__, times),
            repeat(16), [raw[place : place + 16] for place in range(0, len(raw), 16)],
            eight, volumes,
            eight, repeat((recorded_at - _EPOCH) // _MICROSECOND),
            four, map(ids.metadata.__getitem__, metadata),
            four, map(ids.signers.__getitem__, signers),
            repeat(32), signatures,
        )
    )  # fmt: skip


def copy(cursor: Any, table: str, rows: Sequence[bytes]) -> None:
    """Raises psycopg2's own errors: Django translates none of COPY's."""
    stream = io.BytesIO(b"".join((_HEAD, *rows, _TAIL)))
    cursor.copy_expert(f"COPY {table} ({COLUMNS}) FROM STDIN (FORMAT binary)", stream, 1 << 16)
