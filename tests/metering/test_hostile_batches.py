"""Whoever may write to our bus may write anything: it is a batch, or refused as none."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import messages, packing
from metering.counters import Counter
from metering.errors import MalformedBatch
from metering.messages import MOST_BYTES_READ, Poll
from metering.signing import Keyring
from tests.factories import KEYS, NOON, reading
from tests.metering.strategies import counters, few, json_values, many
from tests.metering.test_message_format import documented_verifier

SIGNER = KEYS.signer("compute/host-1")
[TEXT] = packing.pack([reading()], signer=SIGNER, source="openstack", poll=Poll("default", 7, read_at=NOON))
GOOD: dict[str, Any] = json.loads(TEXT)
ROW: list[Any] = GOOD["rows"][0]


def changed(**parts: Any) -> str:
    return json.dumps({**GOOD, **parts})


def header_with(name: str, value: Any) -> str:
    return changed(header={**GOOD["header"], name: value})


NO_TEXTS: list[Any] = ["", 7, [], {}, "x" * 1_025, "a\0b"]
NO_NUMBERS: list[Any] = [-1, 1.5, "1", True, [], 1 << 60]
NO_COUNTS: list[Any] = [
    *([1], "x", {"cpu": "1"}, {"cpu": 1.5}, {"cpu": True}, {"cpu": -1}, {"cpu": 1 << 60}),
    *({"a\0b": 1}, {"": 1}, {"x" * 1_025: 1}, {str(number): 1 for number in range(1_001)}),
]
NO_OBJECTS: list[Any] = [None, [], {}, "x"]
NO_LISTS: list[Any] = [None, {}, "x", 7]
NO_TIMES: list[Any] = [7, "now", [], "x" * 50]
HOSTILE: list[Any] = [
    *(None, 7, b"{}", [], "", "{", "[]", "null", "7", '"x"', "{}", "NaN"),
    *("\ud800", '{"header":"\ud800"}', '{"header": "\\ud800"}'),
    *("[" * 100_000, '{"header":' * 2_000, "x" * (MOST_BYTES_READ + 1)),
    *(changed(header=value) for value in NO_OBJECTS),
    *(changed(metadata=value) for value in [*NO_LISTS, [{}], [None]]),
    *(changed(rows=value) for value in [*NO_LISTS, [[]] * 1_001]),
    *(changed(whole=value) for value in [*NO_LISTS, ["{}"] * 1_001]),
    changed(rows=[[]] * 600, whole=["{}"] * 401),
    *(header_with(name, value) for name in ("format", "publisher", "source") for value in [None, *NO_TEXTS]),
    *(header_with(name, value) for name in ("polling_source", "node") for value in NO_TEXTS),
    *(
        header_with(name, value)
        for name in ("samples", "part", "parts", "slot", "shard", "guests")
        for value in NO_NUMBERS
    ),
    *(header_with("read_at", value) for value in NO_TIMES),
    *(header_with(name, value) for name in ("errors", "dropped") for value in NO_COUNTS),
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_text_that_is_no_batch_is_refused_as_such(text: Any) -> None:
    with pytest.raises(MalformedBatch):
        messages.read(text)
    with pytest.raises(MalformedBatch):
        list(messages.unpack(text))


NO_ROWS: list[Any] = [
    *(None, 7, "elevenchars", [], {}, {str(number): 1 for number in range(11)}),
    *([1] * 11, [None] * 11, ["x"] * 11, [0.5] * 12),
    *([*ROW[:8], 99, *ROW[9:]], [*ROW[:8], {}, *ROW[9:]], [*ROW[:3], None, *ROW[4:]]),
]
NO_OBJECT_TEXTS: list[Any] = ["", "{", "[]", "null", "7", "[" * 100_000, '{"a":' * 50_000]
DAMAGED = [
    *(changed(rows=[value]) for value in NO_ROWS),
    *(changed(metadata=[value]) for value in NO_OBJECT_TEXTS),
    *(changed(whole=[value]) for value in [None, 7, {}, *NO_OBJECT_TEXTS]),
]


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_reader_of_the_bus_gets_messages_or_one_kind_of_error(text: str) -> None:
    with pytest.raises(MalformedBatch):
        list(messages.unpack(text))


headers = json_values | st.builds(
    lambda name, value: {**GOOD["header"], name: value}, st.sampled_from(list(GOOD["header"])), json_values
)
rows = st.lists(json_values | st.lists(json_values, min_size=11, max_size=11), max_size=3)
parts = st.fixed_dictionaries(
    {},
    optional={
        "header": headers,
        "metadata": json_values | st.lists(st.sampled_from(["{}", "[]", "x", '{"a":1}'])),
        "rows": json_values | rows,
        "whole": json_values | st.lists(json_values, max_size=3),
    },
)
texts = st.text(max_size=200) | json_values.map(json.dumps) | parts.map(lambda found: changed(**found))


@many
@given(texts)
def test_nothing_but_malformed_batch_comes_of_any_text(text: str) -> None:
    with contextlib.suppress(MalformedBatch):
        assert all(isinstance(message, dict) for message in messages.unpack(text))


@few
@given(st.lists(counters, min_size=1, max_size=4), st.integers(0, 100_000), st.integers(0, 255))
def test_a_batch_with_one_byte_changed_is_read_or_refused(packed: list[Counter], place: int, byte: int) -> None:
    raw = bytearray(packing.pack(packed, signer=SIGNER, source="openstack")[0].encode())
    raw[place % len(raw)] = byte

    with contextlib.suppress(MalformedBatch):
        list(messages.unpack(raw.decode("utf-8", "surrogateescape")))


def test_a_batch_of_another_installation_is_read_and_not_believed() -> None:
    stranger = Keyring({"k9": b"of another installation"}).signer("compute/host-1")
    [text] = packing.pack([reading()], signer=stranger, source="openstack")

    [message] = messages.unpack(text)
    assert message["message_signature"].startswith("n1:k9:")
    assert not documented_verifier()(message, {"k1": b"a secret of the tests"})
