"""Recorded notifications: each comes back from its line as it was said, and no token is among them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from collector import archive
from collector.archive import Recorded, line_of, recorded_in
from collector.notification import decode
from metering.errors import CutShort, MalformedNotification
from tests.collector.bodies import body, enveloped, recorded

SAID = {name: value for name, value in recorded("volume.exists").items() if name != "_context_auth_token"}
NOON = "2026-11-23T12:00:00.000000+00:00"
PLAIN: Callable[[bytes], bytes] = bytes
ZSTD: Callable[[bytes], bytes] = zstandard.ZstdCompressor().compress


def back(content: bytes | str) -> bytes:
    """The body as the archive gives it back."""
    found = recorded_in(line_of(Recorded(content, "cinder", "notifications.info"), NOON)).body
    return found if isinstance(found, bytes) else found.encode()


@pytest.mark.parametrize(
    "content",
    [
        body(SAID),
        enveloped(SAID),
        '{"payload": {"größe": 1e-07, "big": 1180591620717411303424, "odd": "\\ud800"}}'.encode(),
        b'{"a":NaN}',
        b"no JSON\nof two lines",
        b"\xff\x00\xfe",
        b"",
    ],
)
def test_a_body_comes_back_byte_for_byte_with_its_exchange(content: bytes) -> None:
    line = line_of(Recorded(content, "cinder", "notifications.info"), NOON)

    assert line.count(b"\n") == 1
    assert recorded_in(line)[1:] == ("cinder", "notifications.info")
    assert back(content) == content


@given(st.binary(max_size=200))
def test_any_bytes_come_back(content: bytes) -> None:
    assert back(content) == archive._SECRET.sub(rb"\1", content)


def test_a_line_that_is_no_record_is_a_body() -> None:
    assert recorded_in(body({"a": 1})) == Recorded(body({"a": 1}), None)


SECRETS: dict[str, Any] = {
    "_context_auth_token": "S3CRET",
    "_context_service_catalog": [{"x": "S3CRET"}],
    "_context_password": "S3CRET",
}


@pytest.mark.parametrize("wrapped", [body, enveloped])
def test_tokens_of_the_context_are_left_out_and_all_else_is_there(wrapped: Any) -> None:
    said = SAID | {"_context_project_id": "p", "big": 2**70, "odd": "\ud800", "nan": float("inf")}

    content = back(wrapped(said | SECRETS))

    assert b"S3CRET" not in content
    assert decode(content, exact=True) == said


@pytest.mark.parametrize(
    "content",
    [
        b'{"_context_auth_token": "S3CRET", "payload": ',
        b'{"oslo.message": "{\\"_context_auth_token\\": \\"S3CRET\\", \\"payl',
    ],
)
def test_a_body_that_cannot_be_read_keeps_no_token_either(content: bytes) -> None:
    assert b"S3CRET" not in back(content)
    assert b"_context_auth_token" in back(content)


@pytest.mark.parametrize(
    "line",
    [
        b'{"recorded_at": 1',
        b'{"recorded_at": 1}',
        b'{"recorded_at": 1, "exchange": "x", "body": 7}',
        b'{"recorded_at": 1, "exchange": null, "body": ""}',
        b'{"recorded_at": 1, "exchange": "x", "base64": "no!"}',
        b'{"recorded_at": ' + b"[" * 100_000,
    ],
)
def test_a_spoilt_record_is_malformed(line: bytes) -> None:
    with pytest.raises(MalformedNotification, match="it is no record of a notification"):
        recorded_in(line)


@pytest.mark.parametrize("compress", [PLAIN, gzip.compress, ZSTD], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("at_once", [1, 7, 1 << 20], ids=str)
def test_lines_are_read_from_whatever_they_are_packed_in(compress: Callable[[bytes], bytes], at_once: int) -> None:
    parts = [b"one\ntw", b"o\n" + b"x" * 100_000, b"\n\nlast"]

    class Pipe(io.BytesIO):
        """Gives what it has: often less than was asked for."""

        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(at_once, size or at_once))

    found = list(archive.lines(Pipe(b"".join(compress(part) for part in parts))))

    assert found == [b"one", b"two", b"x" * 100_000, b"", b"last"]


@pytest.mark.parametrize("compress", [gzip.compress, ZSTD], ids=["gzip", "zstd"])
def test_a_file_that_was_cut_gives_its_whole_frames_and_says_so(compress: Callable[[bytes], bytes]) -> None:
    last = compress(b"".join(str(number).encode() for number in range(10_000)))
    reader = archive.lines(io.BytesIO(compress(b"one\n") + compress(b"two\n") + last[: len(last) // 2]))

    assert [next(reader), next(reader)] == [b"one", b"two"]
    with pytest.raises(CutShort):
        list(reader)


@pytest.mark.parametrize("compress", [gzip.compress, ZSTD], ids=["gzip", "zstd"])
def test_a_file_with_rubbish_behind_is_spoilt(compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(MalformedNotification, match="the file is spoilt"):
        list(archive.lines(io.BytesIO(compress(b"one\n") + b"rubbish, and no frame at all")))


def test_an_empty_file_has_no_lines() -> None:
    assert list(archive.lines(io.BytesIO())) == []


def test_a_record_is_read_by_any_reader_of_json() -> None:
    line = json.loads(line_of(Recorded(b"{}", "nova", "notifications.error"), NOON))

    assert line == {"recorded_at": NOON, "exchange": "nova", "routing_key": "notifications.error", "body": "{}"}
