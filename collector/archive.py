"""Recorded notifications as lines of JSON, each with the exchange it was said on; in files, compressed or not.

Written in frames of zstd, each whole: what is in a file up to the last sync is readable, whatever happens then. A plain
line, without an exchange, is the body itself, as other tools record it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, Protocol

import zstandard

from collector.notification import without_secrets
from metering.errors import CutShort, MalformedNotification

SUFFIX = ".jsonl.zst"
_CHUNK = 64 << 10
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SECRET = re.compile(rb'("_context_\w*(?:token|password|secret|catalog)\w*\\*"\s*:\s*\\*")[^"\\]*', re.IGNORECASE)


class Recorded(NamedTuple):
    """One line: a body, and where it was said."""

    body: bytes | str
    exchange: str | None
    routing_key: str | None = None


def line_of(recorded: Recorded, recorded_at: str) -> bytes:
    """The line that `recorded_in` reads, its newline with it. What the context holds of tokens is left out."""
    body = without_secrets(recorded.body)
    body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    body = _SECRET.sub(rb"\1", body)  # one that cannot be read may hold a token all the same
    try:
        kept = {"body": body.decode()}
    except UnicodeDecodeError:
        kept = {"base64": base64.b64encode(body).decode()}
    about = {"recorded_at": recorded_at, "exchange": recorded.exchange, "routing_key": recorded.routing_key}
    return json.dumps(about | kept).encode() + b"\n"


def recorded_in(line: bytes) -> Recorded:
    """What a line holds. Raises `MalformedNotification` for a record that is spoilt."""
    if b'"recorded_at"' not in line[:20]:
        return Recorded(line, None)
    try:
        record: dict[str, Any] = json.loads(line)
        body = record["body"] if "body" in record else base64.b64decode(record["base64"], validate=True)
        exchange = record["exchange"]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as exc:
        raise MalformedNotification(f"it is no record of a notification: {exc}") from exc
    if not isinstance(body, str | bytes) or not isinstance(exchange, str):
        raise MalformedNotification("it is no record of a notification: body and exchange must be texts")
    return Recorded(body, exchange, record.get("routing_key"))


def lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a stream: gzip and zstd are known by their first bytes, anything else is taken as it is.

    Raises `CutShort` after the last whole line of a compressed file that ends too early, and `MalformedNotification`
    where one is spoilt.
    """
    rest = b""
    try:
        for chunk in _chunks(stream):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
    except (zlib.error, zstandard.ZstdError) as exc:
        raise MalformedNotification(f"the file is spoilt: {exc}") from exc
    if rest:
        yield rest


class _Frame(Protocol):
    """What zlib and zstandard have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    data = _read(stream, len(_ZSTD))
    if data.startswith(_GZIP):
        yield from _inflated(stream, data, gzip=True)
    elif data.startswith(_ZSTD):
        yield from _inflated(stream, data, gzip=False)
    else:
        while data:
            yield data
            data = stream.read(_CHUNK)


def _inflated(stream: BinaryIO, data: bytes, *, gzip: bool) -> Iterator[bytes]:
    """The content of all frames, one after the other. Raises `CutShort` when the last one is not whole."""
    while data := data or stream.read(_CHUNK):
        frame: _Frame = zlib.decompressobj(wbits=31) if gzip else zstandard.ZstdDecompressor().decompressobj()
        while True:
            yield frame.decompress(data)
            if frame.eof:
                data = frame.unused_data
                break
            data = stream.read(_CHUNK)
            if not data:
                raise CutShort("it ends within a frame; what stands before that was read")


def _read(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer only at the end: a pipe gives what it has."""
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data
