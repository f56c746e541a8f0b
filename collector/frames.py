"""Reading from RabbitMQ, many deliveries with one look at the socket.

py-amqp looks nine times for each (three frames, each in three parts) and makes objects of all of it, which
cost more than everything else that is done with a notification. Here only what a consumer needs is read of a
delivery; every other frame (heartbeats, answers, closings) is py-amqp's, and so is the sending. A delivery that
comes while py-amqp waits for an answer it reads itself, and hands over.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import amqp
from kombu import Connection

from collector.bus import queue_of
from collector.compression import decompress
from collector.reader import Delivery
from metering.errors import MalformedNotification

MOST_AT_ONCE = 256 << 10  # bytes read from the socket with one look

_METHOD, _HEADER, _BODY = 1, 2, 3
_FRAME = struct.Struct(">BHI")  # type, channel, size; the payload follows, then the end
_END = 0xCE
_DELIVER = struct.pack(">HH", 60, 60)  # class and method: basic.deliver
_TAG = struct.Struct(">Q")
_UNREADABLE = (amqp.AMQPError, struct.error, ValueError, LookupError, TypeError, RecursionError)
_COMPRESSION = b"compression"  # a header's name
_CONTENT = struct.Struct(">HHQ")  # class, weight, size of the body; the properties follow


class FrameReader:
    """One channel of a connection to RabbitMQ."""

    def __init__(self, connection: Connection, prefetch: int) -> None:
        self._amqp: Any = connection.connection
        self._transport: Any = self._amqp.transport
        channel: Any = connection.channel()
        self._channel = channel
        self._channel.auto_decode = False  # bodies are bytes, whatever their sender says of them
        self._channel.basic_qos(0, prefetch, a_global=False)  # of each consumer, that is, of each queue
        self._taken: list[Delivery] = []

    def consume(self, exchange: str) -> None:
        # The consumer tag, which comes with each delivery, says whose it is. Nothing is waited for: the first
        # deliveries would come before the answer.
        self._channel.basic_consume(queue_of(exchange), consumer_tag=exchange, callback=self._take_message, nowait=True)

    def take(self, seconds: float) -> Sequence[Delivery]:
        if not self._taken:
            self._read(seconds)
        taken, self._taken = self._taken, []
        return taken

    def acknowledge(self, receipts: Sequence[Any]) -> None:
        if receipts:
            self._channel.basic_ack(receipts[-1], multiple=True)

    def cancel(self) -> None:
        for exchange in list(self._channel.callbacks):
            self._channel.basic_cancel(exchange)

    def _read(self, seconds: float) -> None:
        """Look at the socket once, and take what is there as a whole."""
        try:
            with self._transport.having_timeout(seconds):
                fresh = self._transport.sock.recv(MOST_AT_ONCE)
        except TimeoutError:
            return  # nothing came
        if not fresh:
            raise ConnectionResetError("the broker closed the connection")
        self._amqp.bytes_recv += 1  # what its heartbeats are judged by
        # Where py-amqp looks first: so that it, too, goes on where this stopped.
        self._transport._read_buffer += fresh
        self._take_buffered()

    def _take_buffered(self) -> None:
        data, begin, place = self._transport._read_buffer, 0, 0
        tag: tuple[str, int] | None = None  # of the delivery that begins at begin
        left, header = 0, b""
        parts: list[bytes] = []
        while len(data) - place >= 8:
            kind, channel, size = _FRAME.unpack_from(data, place)
            after = place + 8 + size
            if after > len(data):
                break  # the rest is on its way
            if data[after - 1] != _END:
                raise amqp.UnexpectedFrame(f"a frame ends with {data[after - 1]:#04x}")
            if channel != self._channel.channel_id or not (tag or data.startswith(_DELIVER, place + 7)):
                data, begin, place, tag = self._hand_over(data, begin, place), 0, 0, None
                continue
            if kind == _METHOD:
                tag, parts = _tag(data, place + 11), []
            elif kind == _HEADER:
                _, _, left = _CONTENT.unpack_from(data, place + 7)
                header = data[place + 7 : after - 1]
            elif kind == _BODY:
                parts.append(data[place + 7 : after - 1])
                left -= size
            place = after
            if tag and header and not left:
                self._taken.append(_delivery(*tag, header, b"".join(parts)))
                begin, tag, header = place, None, b""
        self._transport._read_buffer = data[begin:]

    def _hand_over(self, data: bytes, begin: int, place: int) -> bytes:
        """Let py-amqp have the frame at ``place``; what is there after that, the delivery begun before it included."""
        kind, channel, size = _FRAME.unpack_from(data, place)
        after = place + 8 + size
        self._transport._read_buffer = data[begin:place] + data[after:]
        self._amqp.on_inbound_frame((kind, channel, data[place + 7 : after - 1]))
        rest: bytes = self._transport._read_buffer
        return rest

    def _take_message(self, message: Any) -> None:
        """One that py-amqp read."""
        info, properties = message.delivery_info, message.properties
        self._taken.append(_plain(info["consumer_tag"], info["delivery_tag"], message.body, properties))


def _tag(data: bytes, place: int) -> tuple[str, int]:
    """The consumer's tag and the delivery's."""
    end = place + 1 + data[place]
    return str(data[place + 1 : end], "utf-8"), _TAG.unpack_from(data, end)[0]


def _delivery(exchange: str, tag: int, header: bytes, body: bytes) -> Delivery:
    if _COMPRESSION in header:
        message: Any = amqp.Message()
        try:
            message.inbound_header(header)
        except _UNREADABLE as exc:  # a connection that ended here would meet it again and again
            fault = MalformedNotification(f"its properties cannot be read: {exc}")
            return Delivery(exchange, body, None, tag, fault)
        return _plain(exchange, tag, body, message.properties)
    content_type = None
    if header[12] & 0x80:  # the first property that there may be
        content_type = str(header[15 : 15 + header[14]], "utf-8", "ignore")
    return Delivery(exchange, body, content_type, tag)


def _plain(exchange: str, tag: int, body: bytes, properties: dict[str, Any]) -> Delivery:
    delivery = Delivery(exchange, body, properties.get("content_type"), tag)
    form = properties.get("application_headers", {}).get("compression")
    if form:
        try:
            delivery.body = decompress(body, form)
        except MalformedNotification as exc:
            delivery.fault = exc
    return delivery
