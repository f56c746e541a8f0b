"""The batch, both ways: what a plugin yields comes out as the same message, and a hostile text hurts nobody."""

from __future__ import annotations

import json
import logging
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import messages, packing
from metering.counters import Counter, Kind
from metering.messages import MOST_BYTES, MOST_SAMPLES, Poll
from metering.signing import header_bytes
from tests.factories import KEYS, NOON, at, reading
from tests.metering.strategies import counters, many
from tests.metering.test_message_format import documented_verifier

SIGNER = KEYS.signer("compute/host-1")
SECRETS = {"k1": b"a secret of the tests"}
VERIFY = documented_verifier()


def pack(*packed: Any, poll: Poll | None = None, signer: Any = SIGNER) -> list[str]:
    return packing.pack(packed, signer=signer, source="openstack", poll=poll)


def unpacked(batches: list[str]) -> list[dict[str, Any]]:
    return [message for batch in batches for message in messages.unpack(batch)]


@many
@given(st.lists(counters, max_size=5))
def test_what_was_packed_comes_out_as_the_same_messages_and_the_documented_verifier_accepts_them(
    packed: list[Counter],
) -> None:
    found = unpacked(pack(*packed))

    for counter, message in zip(packed, found, strict=True):
        assert message["counter_name"] == counter.name
        assert message["counter_type"] == counter.type.value
        assert message["counter_unit"] == counter.unit
        assert message["counter_volume"] == counter.volume
        assert math.copysign(1, message["counter_volume"]) == math.copysign(1, counter.volume)
        assert type(message["counter_volume"]) is float
        assert (message["user_id"], message["project_id"]) == (counter.user_id, counter.project_id)
        assert message["resource_id"] == counter.resource_id
        assert counter.timestamp is not None
        assert message["timestamp"] == counter.timestamp.isoformat(timespec="microseconds")
        assert message["resource_metadata"] == counter.resource_metadata
        assert (message["source"], message["publisher_id"]) == ("openstack", "compute/host-1")
        assert VERIFY(message, SECRETS)


@many
@given(st.lists(counters, max_size=5))
def test_the_same_readings_packed_again_are_the_same_samples(packed: list[Counter]) -> None:
    """All but the header, which says when it was signed."""

    def samples(text: str) -> list[object]:
        batch = json.loads(text)
        return [batch["metadata"], batch["rows"], batch["whole"]]

    assert list(map(samples, pack(*packed))) == list(map(samples, pack(*packed)))


def test_whole_numbers_beyond_64_bits_come_out_as_they_were_signed() -> None:
    [message] = unpacked(pack(reading(metadata={"n": 2**64, "m": -(10**40)})))

    assert message["resource_metadata"] == {"n": 2**64, "m": -(10**40)}
    assert VERIFY(message, SECRETS)


def test_a_time_of_another_zone_is_written_as_utc() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    [message] = unpacked(pack(Counter("cpu", Kind.GAUGE, "", 1, None, None, "r", there)))

    assert message["timestamp"] == "2026-11-23T12:00:00.000000+00:00"


def test_a_batch_holds_at_most_a_thousand_samples() -> None:
    batches = [messages.read(text) for text in pack(*(reading(resource=f"r-{number}") for number in range(2_001)))]

    assert [len(batch.rows) for batch in batches] == [MOST_SAMPLES, MOST_SAMPLES, 1]
    assert [batch.header.samples for batch in batches] == [MOST_SAMPLES, MOST_SAMPLES, 1]
    assert [(batch.header.part, batch.header.parts) for batch in batches] == [(0, 3), (1, 3), (2, 3)]


# What needs the most bytes for its length: escapes in rows, escapes of escapes in metadata.
LONG: list[dict[str, Any]] = [
    {"metadata": {"k": "x" * 60_000}},
    {"metadata": {"k": "\x01" * 10_000}},
    {"metadata": {"k": '"' * 30_000}},
    {"resource": "\x01" * 1_000, "user": "\x02" * 1_000, "project": "\x03" * 1_000, "unit": "\x04" * 1_000},
    {"resource": "ü" * 640, "user": "🚀" * 320},
]


@pytest.mark.parametrize("about", LONG)
@pytest.mark.parametrize("shared", [True, False])
def test_a_batch_is_at_most_half_a_mebibyte(about: dict[str, Any], *, shared: bool) -> None:
    many_readings = [
        reading(seconds=number, **about)
        if shared or "metadata" not in about
        else reading(seconds=number, metadata={**about["metadata"], "number": number})
        for number in range(300)
    ]
    batches = pack(*many_readings, poll=Poll("default", 7, errors={"x" * 90 + str(n): 1 for n in range(99)}))

    assert max(len(batch.encode()) for batch in batches) <= MOST_BYTES
    assert len(unpacked(batches)) == 300


def test_metadata_that_returns_in_the_next_batch_is_counted_there_as_well() -> None:
    first = [reading(seconds=number, metadata={"k": "x" * 65_000}) for number in range(999)]
    others = [reading(seconds=1_000 + number, metadata={"k": f"{number}" + "y" * 60_000}) for number in range(40)]
    packed = [counter for pair in zip(first, others, strict=False) for counter in pair]

    assert max(len(batch.encode()) for batch in pack(*packed)) <= MOST_BYTES


def test_a_metadata_shared_by_many_is_written_once() -> None:
    about = {"name": "web", "tags": ["a"]}
    [text] = pack(
        *(reading(resource=f"r-{number}", metadata=about) for number in range(100)), reading(metadata={**about})
    )

    assert messages.read(text).metadata == ['{"name":"web","tags":["a"]}']


def test_nothing_to_send_is_no_batch() -> None:
    assert pack() == []


def test_a_poll_of_no_guests_still_sends_its_receipt() -> None:
    poll = Poll("default", 29_600_000, 3, at(1), 0, {"cpu": 2}, {"polls": 1, "samples": 40})

    [text] = pack(poll=poll)

    header = messages.read(text).header
    assert (header.polling_source, header.slot, header.shard, header.node) == ("default", 29_600_000, 3, "host-1")
    assert (header.read_at, header.guests, header.samples) == (at(1), 0, 0)
    assert (header.errors, header.dropped) == ({"cpu": 2}, {"polls": 1, "samples": 40})
    assert (header.part, header.parts) == (0, 1)
    KEYS.check("compute/host-1", header.fields["signature"], header_bytes(header.fields))


def test_a_poll_whose_last_batch_is_full_sends_no_empty_one() -> None:
    texts = pack(*(reading(resource=f"r-{number}") for number in range(1_000)), poll=Poll("default", 7))

    assert [messages.read(text).header.parts for text in texts] == [1]


def test_an_announcement_has_a_source_and_no_slot() -> None:
    [text] = packing.pack([], signer=SIGNER, source="openstack", poll=Poll("default", None), node="central")

    header = messages.read(text).header
    assert (header.slot, header.polling_source, header.node) == (None, "default", "central")


def test_what_was_not_polled_belongs_to_no_poll() -> None:
    [text] = pack(reading())

    fields = messages.read(text).header.fields
    told = ("polling_source", "slot", "node", "shard", "read_at", "guests", "errors", "dropped")
    assert [fields[name] for name in told] == [None] * 8


def ids(*packed: Counter, poll: Poll | None = None) -> list[str]:
    return [message["message_id"] for message in unpacked(pack(*packed, poll=poll))]


def test_the_same_reading_has_the_same_id_whoever_sends_it_and_whatever_it_read() -> None:
    one, two = reading(1.0, origin="o", metadata={"a": 1}), reading(2.0, origin="o", metadata={"a": 2})

    assert ids(one) == ids(two)
    other = packing.pack([one], signer=KEYS.signer("central/central"), source="openstack")
    assert unpacked(other)[0]["message_id"] == ids(one)[0]


def test_readings_of_no_origin_are_never_taken_for_one_another() -> None:
    assert ids(reading()) != ids(reading())


def test_equal_readings_of_one_origin_are_counted_in_their_order() -> None:
    twice = [reading(1.0, origin="o"), reading(2.0, origin="o"), reading(3.0, origin="o", seconds=1)]

    first, second, third = ids(*twice)

    assert len({first, second, third}) == 3
    assert [first] == ids(reading(9.0, origin="o"))
    assert ids(*twice) == [first, second, third]


def test_a_pollster_that_reads_twice_is_counted_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    [text] = pack(reading(origin="o"), reading(origin="o"), poll=Poll("default", 7, errors={"disk": 1}))

    assert messages.read(text).header.errors == {"disk": 1, "cpu: read twice": 1}
    assert "cpu of web-1 was read more than once in one poll" in caplog.text


def bad(**changed: Any) -> Counter:
    fields: dict[str, Any] = {
        "name": "bad", "type": Kind.GAUGE, "unit": "B", "volume": 1.0, "user_id": None, "project_id": None,
        "resource_id": "r", "timestamp": NOON, "resource_metadata": {}, "origin": "o",
    }  # fmt: skip
    return Counter(**{**fields, **changed})


DEEP: list[Any] = []
for _ in range(5_000):
    DEEP = [DEEP]

WRONG: dict[str, list[Any]] = {
    "name": ["", None, 7, "x" * 1_025, "a\0b", "\ud800", ["a"]],
    "type": ["level", None, []],
    "unit": [None, "x" * 2_000],
    "volume": [math.nan, math.inf, "1", None, True, 10**400],
    "user_id": [7],
    "project_id": [b"p"],
    "resource_id": [None, "", "a\ud800"],
    "timestamp": [
        *(None, "2026-01-01T00:00:00", 1.5, [], NOON.replace(tzinfo=None)),
        *(datetime(1969, 12, 31, tzinfo=UTC), datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))),
    ],
    "resource_metadata": [
        *(None, "text", [1], {1: "a"}, {"a": NOON}, {"a": math.nan}, {"a": DEEP}, {"a": "x" * 70_000}),
    ],
    "origin": [7, b"o", "\ud800"],
}
NO_COUNTERS: list[Any] = [{"name": "bad"}, None, "bad"]
BAD = [*(bad(**{name: value}) for name, values in WRONG.items() for value in values), *NO_COUNTERS]


@pytest.mark.parametrize("counter", BAD, ids=range(len(BAD)))
def test_a_bad_counter_is_logged_and_counted_and_costs_only_itself(
    counter: Any, caplog: pytest.LogCaptureFixture
) -> None:
    good = [reading(resource="one", origin="o"), reading(resource="two", origin="o")]

    [text] = pack(good[0], counter, good[1], poll=Poll("default", 7))

    batch = messages.read(text)
    assert [row[6] for row in batch.rows] == ["one", "two"]
    assert sum(batch.header.errors.values()) == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_bad_counters_of_any_number_of_names_leave_a_receipt_that_can_be_read() -> None:
    broken = [bad(name=f"{number} " + "x" * 900, volume=None) for number in range(5_000)]

    [text] = pack(*broken, poll=Poll("default", 7))

    assert len(text) < messages.MOST_HEADER_BYTES
    assert sum(messages.read(text).header.errors.values()) == 5_000


def test_whole_messages_travel_as_they_came() -> None:
    texts = ['{"a": 1}', "no JSON at all", '{"a":"' + "x" * 400_000 + '"}', '{"a":"' + "\\u0001" * 80_000 + '"}', "{}"]

    batches = [messages.read(text) for text in packing.pack_whole(texts, signer=SIGNER, source="openstack")]

    assert [text for batch in batches for text in batch.whole] == texts
    assert [batch.header.samples for batch in batches] == [len(batch.whole) for batch in batches]
    assert [(batch.header.part, batch.header.parts) for batch in batches] == [
        (number, len(batches)) for number in range(len(batches))
    ]
    assert packing.pack_whole([], signer=SIGNER, source="openstack") == []


def test_a_thousand_whole_messages_fill_a_batch() -> None:
    batches = packing.pack_whole(["{}"] * 1_001, signer=SIGNER, source="openstack")

    assert [len(messages.read(batch).whole) for batch in batches] == [1_000, 1]
