"""Verification comes before belief: what is wrong is refused with its reason, and costs only itself."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import messages, packing
from metering.bounds import timestamp_text
from metering.counters import Counter
from metering.errors import MalformedBatch
from metering.messages import Poll
from metering.sifting import Rules, Sifted, Sifter, repacked
from metering.signing import Keyring, Signer, metadata_digest, sample_bytes
from tests.factories import CEILOMETER_SECRET, KEYS, NOON, reading
from tests.metering.strategies import counters, few, json_values, many

SIGNER = KEYS.signer("compute/host-1")
RULES = Rules(KEYS, (CEILOMETER_SECRET,), timedelta(days=30), timedelta(minutes=10), frozenset({"volume.size"}))
NOW = NOON + timedelta(minutes=1)
PLACES = ["name", "type", "unit", "volume", "user", "project", "resource", "timestamp", "metadata", "id", "signature"]


def packed(*packed: Counter, signer: Signer = SIGNER, poll: Poll | None = None) -> dict[str, Any]:
    [text] = packing.pack(packed, signer=signer, source="openstack", poll=poll)
    parts: dict[str, Any] = json.loads(text)
    return parts


def sift(parts: dict[str, Any], now: datetime = NOW, rules: Rules = RULES, disabled: str = "") -> Sifted:
    return Sifter(rules).sift(messages.read(json.dumps(parts)), now, frozenset(filter(None, [disabled])))


def reasons(sifted: Sifted) -> list[str]:
    return [refused.reason for refused in sifted.refused]


def signed_row(signer: Signer = SIGNER, source: str = "openstack", **fields: Any) -> tuple[list[Any], str]:
    """A row, and its metadata, signed by whoever holds the key, whatever stands in it."""
    row: dict[str, Any] = dict(zip(PLACES, packed(reading(origin="o"))["rows"][0], strict=True)) | fields
    text = fields.get("metadata", "{}")
    data = sample_bytes(
        signer.publisher, source, row["name"], row["type"], row["unit"], row["volume"], row["user"], row["project"],
        row["resource"], row["timestamp"], metadata_digest(text), row["id"],
    )  # fmt: skip
    row |= {"metadata": 1, "signature": signer.digest(data)}
    return [row[place] for place in PLACES], text


def beside_good_ones(row: Any, text: str = "{}") -> Sifted:
    """What becomes of a row between two good ones of the same batch, which must be genuine."""
    parts = packed(reading(resource="one"), reading(resource="two"))
    parts["metadata"].append(text)
    parts["rows"].insert(1, row)

    sifted = sift(parts)

    assert [item.series.key[4] for item in sifted.genuine] == ["one", "two"]
    assert sifted.receipt is not None
    return sifted


@many
@given(st.lists(counters, max_size=4))
def test_what_a_genuine_publisher_sent_is_genuine_and_gives_back_the_message_that_was_signed(
    sent: list[Counter],
) -> None:
    [*texts] = packing.pack(sent, signer=SIGNER, source="openstack")
    for text in texts:
        sifted = Sifter(RULES).sift(messages.read(text), NOW)

        assert reasons(sifted) == []
        assert [repacked(item) for item in sifted.genuine] == list(messages.unpack(text))
        assert {item.foreign_id for item in sifted.genuine} == {False}
        assert {item.original for item in sifted.genuine} == {None}


FORGED: dict[str, list[Any]] = {
    "name": ["memory", ""],
    "type": ["gauge"],
    "unit": ["s", ""],
    "volume": [2.0, -1.0, 1, "1.0"],
    "user": ["eve", None, ""],
    "project": ["blue", None, ""],
    "resource": ["web-2"],
    "timestamp": [timestamp_text(NOON + timedelta(microseconds=1))],
    "metadata": [1],
    "id": ["01a209b8-3f13-800c-803c-b59204cfb976"],
    "signature": ["0" * 64, "", None, 7, "é" * 64],
}


@pytest.mark.parametrize(("place", "value"), [(place, value) for place in FORGED for value in FORGED[place]])
def test_a_row_of_which_one_field_was_changed_is_refused(place: str, value: Any) -> None:
    row = packed(reading(origin="o"))["rows"][0]
    row[PLACES.index(place)] = value
    if place == "volume" and value == 1 and type(value) is int:
        assert len(sift({**packed(reading()), "rows": [row]}).genuine) == 1  # the same double in other words
        return

    [reason] = reasons(beside_good_ones(row, '{"other":1}'))

    assert "does not fit" in reason or reason.startswith(("counter_", "message_id"))


def test_a_row_of_another_publisher_s_batch_is_refused() -> None:
    [row] = packed(reading(), signer=KEYS.signer("compute/host-2"))["rows"]

    [reason] = reasons(beside_good_ones(row))

    assert reason == "the signature does not fit what compute/host-1 is said to have sent"


def test_a_batch_whose_header_names_another_publisher_or_source_is_refused_row_by_row() -> None:
    for name in ("publisher", "source"):
        parts = packed(reading(), reading(resource="other"))
        parts["header"][name] = "compute/host-2"

        sifted = sift(parts)

        assert (sifted.genuine, sifted.receipt, len(sifted.refused)) == ([], None, 2)


def test_a_batch_by_an_unknown_secret_is_refused_row_by_row() -> None:
    stranger = Keyring({"k9": b"of another installation"}).signer("compute/host-1")

    sifted = sift(packed(reading(), signer=stranger))

    assert reasons(sifted) == ["the batch's header: no secret 'k9' in METERING_SECRETS"]
    assert sifted.receipt is None


def test_a_batch_by_a_secret_of_the_same_name_is_refused() -> None:
    stranger = Keyring({"k1": b"of another installation"}).signer("compute/host-1")

    sifted = sift(packed(reading(), signer=stranger))

    assert (len(sifted.refused), sifted.receipt) == (1, None)


@pytest.mark.parametrize(
    "name", ["samples", "part", "parts", "slot", "shard", "read_at", "guests", "errors", "dropped"]
)
def test_good_rows_count_under_a_header_that_was_tampered_with_which_is_no_receipt(name: str) -> None:
    parts = packed(reading(), poll=Poll("default", 7, 0, NOON, 3))
    parts["header"][name] = None

    sifted = sift(parts)

    assert (len(sifted.genuine), sifted.refused, sifted.receipt) == (1, [], None)


@pytest.mark.parametrize("signature", [None, "", 7, [], "n1:k1", "n2:k1:" + "a" * 64])
def test_a_header_without_a_signature_leaves_nothing_to_verify_its_rows_by(signature: Any) -> None:
    parts = packed(reading())
    parts["header"]["signature"] = signature

    [reason] = reasons(sift(parts))

    assert reason.startswith("the batch's header: ")


def test_a_receipt_of_no_samples_is_a_receipt() -> None:
    sifted = sift(packed(poll=Poll("default", 7, 0, NOON, 0)))

    assert sifted.receipt is not None
    assert (sifted.receipt.slot, sifted.genuine, sifted.refused) == (7, [], [])
    assert sifted.signer == SIGNER


TOO_OLD = "is older than 30 days (METERING_RETENTION_DAYS; where that is 0, METERING_OLDEST_DAYS)"


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        (NOW + timedelta(minutes=10, microseconds=1), "lies more than 600 s ahead (METERING_AHEAD_SECONDS)"),
        (NOW + timedelta(days=4_000), "lies more than 600 s ahead (METERING_AHEAD_SECONDS)"),
        (NOW - timedelta(days=30, microseconds=1), TOO_OLD),
        (datetime(1970, 1, 1, tzinfo=UTC), TOO_OLD),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "lies before 1970"),
        (datetime(1, 1, 1, tzinfo=UTC), "lies before 1970"),
    ],
)
def test_a_time_that_no_sample_may_have_is_refused(moment: datetime, reason: str) -> None:
    row, text = signed_row(timestamp=timestamp_text(moment))

    assert reasons(beside_good_ones(row, text)) == [f"timestamp {moment.isoformat()} {reason}"]


@pytest.mark.parametrize("moment", [NOW + timedelta(minutes=10), NOW - timedelta(days=30)])
def test_a_time_just_within_bounds_is_taken(moment: datetime) -> None:
    counter = reading(seconds=(moment - NOON).total_seconds())

    assert len(sift(packed(counter)).genuine) == 1


def test_without_a_retention_any_age_since_1970_is_taken() -> None:
    row, _ = signed_row(timestamp="1970-01-01T00:00:00.000000+00:00")
    parts = {**packed(reading()), "metadata": ["{}", "{}"], "rows": [row]}

    assert len(sift(parts, rules=Rules(KEYS)).genuine) == 1


NOT_A_ROW: list[Any] = [
    *(None, 7, True, "elevenchars", [], {}, ["x"] * 10, ["x"] * 12, [None] * 11, [[]] * 11, [{}] * 11),
    {str(number): number for number in range(11)},
]


@pytest.mark.parametrize("row", NOT_A_ROW, ids=range(len(NOT_A_ROW)))
def test_what_is_no_row_is_refused_as_it_is(row: Any) -> None:
    [refused] = beside_good_ones(row).refused

    assert json.loads(refused.body)["row"] == row


WRONG: dict[str, list[Any]] = {
    "name": [None, 7, [], {}, "", "x" * 1_025, "a\0b"],
    "type": [None, "level", [], {}],
    "unit": [None, 7, []],
    "volume": [None, "1", [], True, "NaN", {}],
    "user": [7, [], {}, True, "x" * 1_025, "a\0b"],
    "project": [7, [], {}, "a\0b"],
    "resource": [None, 7, [], "", "x" * 1_025, "é" * 651, "a\0b"],
    "timestamp": [
        *(
            None,
            7,
            [],
            "",
            "now",
            "2026-11-23T12:00:00+00:00",
            "2026-11-23T12:00:00.000000",
            "2026-11-23 12:00:00.000000+00:00",
        ),
        *("2026-11-23T13:00:00.000000+01:00", "2026-11-23T12:00:00.000000Z", "2026-13-23T12:00:00.000000+00:00"),
    ],
    "metadata": [None, "0", 0.0, [], 2, -4],
    "id": [
        *(None, 7, [], "", "no uuid", "x" * 1_025, "01A209B8-3F13-800C-803C-B59204CFB976"),
        *("01a209b83f13800c803cb59204cfb976", "{01a209b8-3f13-800c-803c-b59204cfb976}"),
    ],
}


@pytest.mark.parametrize(("place", "value"), [(place, value) for place in WRONG for value in WRONG[place]])
def test_a_row_with_a_field_of_the_wrong_form_is_refused_also_when_its_publisher_signed_it(
    place: str, value: Any
) -> None:
    row = packed(reading(origin="o"))["rows"][0]
    row[PLACES.index(place)] = value
    if place != "metadata":
        try:
            row, _ = signed_row(**{place: value})
        except (TypeError, struct.error):  # not even a signer could write it down
            row[-1] = "0" * 64

    assert len(beside_good_ones(row).refused) == 1


BAD_METADATA = {
    "NaN": '{"a":NaN}',
    "Infinity": '{"a":-Infinity}',
    "too large": '{"a":1e999}',
    "a list": "[]",
    "null": "null",
    "a text": '"x"',
    "nothing": "",
    "truncated": '{"a":',
    "unsorted": '{"b":1,"a":2}',
    "spaces": '{"a": 1}',
    "not ASCII": '{"a":"ü"}',
    "a raw control character": '{"a":"\n"}',
    "another escape": '{"a":"\\u0041"}',
    "a number in another form": '{"a":1.50}',
    "a key twice": '{"a":1,"a":2}',
    "an escaped slash": '{"a":"\\/"}',
    "deep": '{"a":' + "[" * 32 + "]" * 32 + "}",
    "very deep": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "long": '{"a":"' + "x" * 65_536 + '"}',
    "a number of many digits": '{"a":' + "9" * 5_000 + "}",
}


@pytest.mark.parametrize("text", BAD_METADATA.values(), ids=BAD_METADATA)
def test_metadata_that_is_not_canonical_or_out_of_bounds_costs_only_its_own_message(text: str) -> None:
    row, _ = signed_row(metadata=text)

    [reason] = reasons(beside_good_ones(row, text))

    assert reason.startswith(("resource_metadata", "not plain JSON"))


@pytest.mark.parametrize(
    "about",
    [
        {"__type__": "datetime", "__value__": "no time"},
        {"__type__": "decimal", "__value__": "1.5"},
        {"a": [{"__type__": "uuid", "__value__": {"hex": "x"}}]},
        {"__type__": "os.system", "__value__": "true"},
        {"py/object": "os.system", "$type": "x"},
        {"nul": "\0", "lone": "\ud800", "deep": {"a": [[[[[]]]]]}, "": {"": None}},
        {"n": 10**400},
    ],
)
def test_metadata_that_would_become_objects_elsewhere_stays_plain(about: dict[str, Any]) -> None:
    [item] = sift(packed(reading(metadata=about))).genuine

    assert json.loads(item.metadata) == about


def test_a_disabled_publisher_s_samples_are_refused_and_its_receipts_too() -> None:
    sifted = sift(packed(reading(), poll=Poll("default", 7)), disabled="compute/host-1")

    assert reasons(sifted) == ["the publisher compute/host-1 is disabled"]
    assert (sifted.genuine, sifted.receipt) == ([], None)


def test_to_disable_one_publisher_disables_no_other() -> None:
    assert len(sift(packed(reading()), disabled="compute/host-10").genuine) == 1


def test_a_compute_host_may_not_send_what_only_listeners_claim() -> None:
    mixed = packed(reading(resource="one"), reading(meter="volume.size"), reading(resource="two"))

    sifted = sift(mixed)

    assert reasons(sifted) == ["a compute host may not send volume.size"]
    assert len(sifted.genuine) == 2


@pytest.mark.parametrize("publisher", ["consumer/host-1", "central/central", "api/host-1"])
def test_any_other_role_may_send_it(publisher: str) -> None:
    assert len(sift(packed(reading(meter="volume.size"), signer=KEYS.signer(publisher))).genuine) == 1


def test_what_is_refused_is_kept_as_the_plain_message_that_it_was_said_to_be() -> None:
    parts = packed(reading(origin="o", metadata={"a": 1}))
    [message] = messages.unpack(json.dumps(parts))
    parts["rows"][0][PLACES.index("volume")] = 9.0

    [refused] = sift(parts).refused

    assert json.loads(refused.body) == {**message, "counter_volume": 9.0}
    assert refused.publisher == "compute/host-1"


def test_what_was_found_in_bounds_is_remembered_and_still_verified() -> None:
    sifter = Sifter(RULES)
    good = packed(reading(origin="o", metadata={"a": 1}))
    forged = json.loads(json.dumps(good))
    forged["rows"][0][PLACES.index("volume")] = 9.0

    for _ in range(2):
        assert len(sifter.sift(messages.read(json.dumps(good)), NOW).genuine) == 1
        assert len(sifter.sift(messages.read(json.dumps(forged)), NOW).refused) == 1


def test_large_metadata_is_not_remembered_for_it_would_fill_the_memory() -> None:
    sifter = Sifter(RULES)
    for number in range(5):
        text = json.dumps(packed(reading(metadata={"large": f"{number}" + "x" * 60_000})))
        assert len(sifter.sift(messages.read(text), NOW).genuine) == 1

    assert sum(len(text) for text in sifter.judge.known_metadata.young) < 10_000


anything = st.fixed_dictionaries(
    {"header": st.just(packed(reading())["header"])},
    optional={
        "metadata": st.lists(st.sampled_from(list(BAD_METADATA.values())) | json_values.map(json.dumps), max_size=3),
        "rows": st.lists(json_values | st.lists(json_values, min_size=11, max_size=11), max_size=4),
        "whole": st.lists(json_values | json_values.map(json.dumps), max_size=4),
    },
)


@many
@given(anything, st.data())
def test_no_json_makes_sifting_raise_and_every_message_is_genuine_or_refused(
    found: dict[str, Any], data: st.DataObject
) -> None:
    parts = {"metadata": [], "rows": [], "whole": [], **found}
    good = packed(reading())
    for place in range(len(parts["rows"])):  # rows that are nearly good
        row = parts["rows"][place]
        if isinstance(row, list) and len(row) == 11 and data.draw(st.booleans()):
            wrong = data.draw(st.integers(0, 10))
            parts["rows"][place] = [row[at] if at == wrong else good["rows"][0][at] for at in range(11)]
    try:
        batch = messages.read(json.dumps(parts))
    except MalformedBatch:
        return

    sifted = Sifter(RULES).sift(batch, NOW)

    assert len(sifted.genuine) + len(sifted.refused) == len(batch.rows) + len(batch.whole)
    for refused in sifted.refused:
        assert refused.reason


@few
@given(st.lists(counters, min_size=1, max_size=4), st.integers(0, 100_000), st.integers(0, 255))
def test_a_changed_byte_makes_no_other_message_genuine(sent: list[Counter], place: int, byte: int) -> None:
    [text] = packing.pack(sent, signer=SIGNER, source="openstack")
    before = [repacked(item) for item in Sifter(RULES).sift(messages.read(text), NOW).genuine]
    raw = bytearray(text.encode())
    raw[place % len(raw)] = byte
    try:
        batch = messages.read(raw.decode("utf-8", "surrogateescape"))
    except MalformedBatch:
        return

    sifted = Sifter(RULES).sift(batch, NOW)

    for item in sifted.genuine:
        assert repacked(item) in before
