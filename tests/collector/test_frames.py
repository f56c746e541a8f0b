"""Reading from RabbitMQ's stream of frames, cut in any way."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.frames import FrameReader
from collector.reader import Delivery
from metering.errors import MalformedNotification

MINE, OTHER = 3, 4
HEARTBEAT = struct.pack(">BHIB", 8, 0, 0, 0xCE)


def frame(kind: int, payload: bytes, channel: int = MINE) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def delivered(tag: int, body: bytes, size: int = 1 << 17, **properties: Any) -> list[bytes]:
    """The frames of one delivery, the body cut into pieces of this size."""
    method = struct.pack(">HHB", 60, 60, 6) + b"cinder" + struct.pack(">QB", tag, 0) + b"\x06cinder\x01k"
    message: Any = amqp.Message(b"", **properties)
    flags = message._serialize_properties()
    header = struct.pack(">HHQ", 60, 0, len(body)) + flags
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return [frame(1, method), frame(2, header), *(frame(3, piece) for piece in pieces)]


class Broker:
    """The far side of a connection: what it sends, and what py-amqp would be given of it."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)
        self._read_buffer = b""
        self.given: list[tuple[int, int, bytes]] = []
        self.bytes_recv = 0
        self.transport = self.sock = self
        channel = SimpleNamespace(channel_id=MINE, basic_qos=lambda *_, **__: None)
        connection = SimpleNamespace(connection=self, channel=lambda: channel)
        self.reader = FrameReader(connection, 10)  # type: ignore[arg-type] # what it uses of one

    def recv(self, most: int) -> bytes:
        if not self._chunks:
            raise TimeoutError
        return self._chunks.pop(0)

    @contextlib.contextmanager
    def having_timeout(self, seconds: float) -> Iterator[None]:
        yield

    def on_inbound_frame(self, frame: tuple[int, int, bytes]) -> None:
        self.given.append(frame)

    def take_all(self) -> list[Delivery]:
        return [delivery for _ in range(len(self._chunks)) for delivery in self.reader.take(0.1)]


@given(st.data())
def test_deliveries_come_whole_and_in_order_however_the_stream_is_cut(data: st.DataObject) -> None:
    bodies = data.draw(st.lists(st.binary(max_size=60), min_size=1, max_size=6))
    frames: list[bytes] = []
    for tag, body in enumerate(bodies, 1):
        for one in delivered(tag, body, size=20, content_type="application/json"):
            frames += [
                one,
                *data.draw(st.lists(st.sampled_from([HEARTBEAT, frame(1, b"\0\x14\0\x0b", OTHER)]), max_size=2)),
            ]
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    broker = Broker(*pieces)

    taken = broker.take_all()

    assert [(one.exchange, one.body, one.content_type, one.receipt) for one in taken] == [
        ("cinder", body, "application/json", tag) for tag, body in enumerate(bodies, 1)
    ]
    assert len(broker.given) == len(frames) - sum(len(delivered(1, body, size=20)) for body in bodies)
    assert broker._read_buffer == b""


def test_a_body_of_many_frames_is_put_together() -> None:
    body = bytes(range(256)) * 4_000
    stream = b"".join(delivered(7, body))

    [delivery] = Broker(*(stream[start : start + 65_536] for start in range(0, len(stream), 65_536))).take_all()

    assert delivery.body == body
    assert delivery.content_type is None


def test_nothing_comes_when_nothing_is_sent() -> None:
    assert Broker().reader.take(0.01) == []


def test_a_connection_that_the_broker_closed_is_told() -> None:
    with pytest.raises(ConnectionResetError):
        Broker(b"").reader.take(0.01)


def test_a_stream_that_is_out_of_step_is_told() -> None:
    with pytest.raises(amqp.UnexpectedFrame):
        Broker(HEARTBEAT[:-1] + b"\0").reader.take(0.01)


def test_properties_that_cannot_be_read_cost_only_their_delivery() -> None:
    broken = struct.pack(">HHQ", 60, 0, 2) + b"\x20\x00\xff\xff\xff\xff\x0bcompression!"
    strange = b"application/" + b"\xff" * 200
    frames = [delivered(1, b"{}")[0], frame(2, broken), frame(3, b"{}")]
    header = struct.pack(">HHQ", 60, 0, 2) + b"\x80\x00" + bytes([len(strange)]) + strange
    frames += [delivered(2, b"{}")[0], frame(2, header), frame(3, b"{}")]

    first, second = Broker(b"".join(frames)).take_all()

    assert "properties cannot be read" in str(first.fault)
    assert (second.content_type, second.fault) == ("application/", None)


def test_a_compressed_body_is_read_and_a_bomb_is_not_unpacked() -> None:
    packed: dict[str, Any] = {
        "content_type": "application/json",
        "application_headers": {"compression": "application/x-gzip"},
    }
    bomb = zlib.compress(bytes(50 << 20))
    broker = Broker(
        b"".join(
            [
                *delivered(1, zlib.compress(b'{"a": 1}'), **packed),
                *delivered(2, bomb, **packed),
                *delivered(3, b"broken", **packed),
                *delivered(4, b"odd", application_headers={"compression": "x"}),
            ]
        )
    )

    plain, large, broken, odd = broker.take_all()

    assert (plain.body, plain.fault) == (b'{"a": 1}', None)
    assert large.body == bomb
    assert "larger than" in str(large.fault)
    assert broken.body == b"broken"
    assert isinstance(broken.fault, MalformedNotification)
    assert "compressed as 'x'" in str(odd.fault)
