"""Foreign and replayed messages, as they came: each is judged by its own signature, in ours or the original's form."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import ceilometer, messages, packing
from metering.counters import Counter
from metering.sifting import Genuine, Rules, Sifted, Sifter, repacked
from metering.signing import Keyring
from tests.factories import CEILOMETER_SECRET, KEYS, NOON, reading
from tests.metering.strategies import counters, few, json_values, many

SIGNER = KEYS.signer("compute/host-1")
RULES = Rules(KEYS, (CEILOMETER_SECRET,), timedelta(days=30), timedelta(minutes=10), frozenset({"volume.size"}))
NOW = NOON + timedelta(minutes=1)


def ours(counter: Counter | None = None, publisher: str = "compute/host-1") -> dict[str, Any]:
    """A message of one of our publishers, as a reader of the bus gets it."""
    packed = [counter or reading(origin="o", metadata={"a": 1})]
    [message] = messages.unpack(packing.pack(packed, signer=KEYS.signer(publisher), source="openstack")[0])
    return message


def foreign(
    secret: str = CEILOMETER_SECRET, variant: str = ceilometer.BYTES_IN_LISTS, /, **changed: Any
) -> dict[str, Any]:
    """A message of a Ceilometer agent; a field that is `...` is left out."""
    fields: dict[str, Any] = {
        "source": "openstack", "counter_name": "cpu", "counter_type": "cumulative", "counter_unit": "ns",
        "counter_volume": 7, "user_id": "u", "project_id": "p", "resource_id": "r",
        "timestamp": "2026-11-23T11:59:00.123456", "resource_metadata": {"host": "h", "tags": ["x"]},
        "message_id": "2d6e0f7a-c86a-11f0-8de9-0242ac120002", "monotonic_time": None,
    }  # fmt: skip
    message = {name: value for name, value in (fields | changed).items() if value is not ...}
    return {**message, "message_signature": ceilometer.signature(message, secret, variant)}


def text_of(message: Any) -> Any:
    return message if isinstance(message, str) else json.dumps(message)


def sift(*whole: Any, rules: Rules = RULES, disabled: str = "") -> Sifted:
    """What becomes of these messages, handed on in the batch of a publisher that needs no rights of its own."""
    [batch] = packing.pack_whole([text_of(message) for message in whole], signer=KEYS.signer("api/x"), source="x")
    return Sifter(rules).sift(messages.read(batch), NOW, frozenset(filter(None, [disabled])))


def genuine(message: Any, rules: Rules = RULES) -> Genuine:
    sifted = sift(message, rules=rules)
    assert sifted.refused == []
    [item] = sifted.genuine
    return item


def reason(message: Any, rules: Rules = RULES, disabled: str = "") -> str:
    """Why it is refused, while the messages around it are not."""
    sifted = sift(foreign(resource_id="one"), message, foreign(resource_id="two"), rules=rules, disabled=disabled)
    assert [item.series.key[4] for item in sifted.genuine] == ["one", "two"]
    [refused] = sifted.refused
    assert refused.body == text_of(message)
    return refused.reason


@many
@given(counters)
def test_a_replayed_message_of_ours_is_the_sample_that_it_was(counter: Counter) -> None:
    message = ours(counter)

    item = genuine(message)

    assert item.signer == ("n1", "k1", "compute/host-1")
    assert repacked(item) == message
    assert (item.foreign_id, item.original) == (False, None)


@pytest.mark.parametrize("name", [name for name in ours() if name != "message_signature"])
def test_a_message_of_ours_of_which_one_field_was_changed_or_left_out_is_refused(name: str) -> None:
    message = ours()
    others: dict[str, list[Any]] = {
        "counter_volume": [2.0, -1.0], "resource_metadata": [{"a": 2}, {}, {"a": 1.0}, {"a": 1, "b": 1}],
        "counter_type": ["gauge"], "timestamp": ["2026-11-23T12:00:00.000001+00:00", "2026-11-23T12:00:00+00:00"],
        "user_id": ["", None, "eve"], "project_id": ["", None, "blue"],
    }  # fmt: skip

    for value in others.get(name, [f"{message[name]}x"]):
        assert "the signature does not fit" in reason({**message, name: value})
    del message[name]
    assert reason(message)


def test_a_message_of_ours_may_say_more_than_was_signed_and_is_kept_as_it_came() -> None:
    message = {**ours(), "recorded_at": "2026-11-23T12:00:05"}

    assert genuine(message).original == json.dumps(message)


@pytest.mark.parametrize("name", ["counter_unit", "user_id", "project_id", "resource_metadata"])
def test_a_message_of_ours_names_every_field_also_one_that_is_null(name: str) -> None:
    message = ours(reading(user=None, project=None, unit="", metadata={}))
    del message[name]

    assert reason(message) == f"{name} is missing"


def test_the_rights_of_a_message_of_ours_are_those_of_who_signed_it() -> None:
    assert reason(ours(reading(meter="volume.size"))) == "a compute host may not send volume.size"
    assert reason(ours(), disabled="compute/host-1") == "the publisher compute/host-1 is disabled"
    assert genuine(ours(reading(meter="volume.size"), "consumer/c")).signer[2] == "consumer/c"


def test_a_message_by_an_unknown_secret_is_refused() -> None:
    assert reason(ours(), Rules(Keyring({"k2": b"another secret"}), (CEILOMETER_SECRET,))) == (
        "no secret 'k1' in METERING_SECRETS"
    )


@pytest.mark.parametrize("variant", ceilometer.VARIANTS)
def test_a_message_of_a_ceilometer_agent_is_taken_with_its_secret(variant: str) -> None:
    message = foreign(CEILOMETER_SECRET, variant)

    item = genuine(message)

    assert item.signer == (f"ceilometer/{variant}", "", "")
    assert item.volume == 7.0
    assert item.ts.isoformat() == "2026-11-23T11:59:00.123456+00:00"
    assert item.original == json.dumps(message)
    assert item.foreign_id


def test_a_ceilometer_message_in_our_very_form_needs_no_original() -> None:
    message = foreign(
        counter_volume=7.0, timestamp="2026-11-23T11:59:00.123456+00:00", publisher_id="telemetry", monotonic_time=...
    )

    item = genuine(message)

    assert item.original is None
    assert repacked(item) == message


def test_without_its_secret_no_ceilometer_message_is_taken() -> None:
    [refused] = sift(foreign(), rules=Rules(KEYS)).refused

    assert "METERING_CEILOMETER_SECRETS is empty" in refused.reason
    assert "no secret of METERING_CEILOMETER_SECRETS" in reason(foreign("another secret"))


@pytest.mark.parametrize("signature", ["", None, 7, [], "n1:k1:" + "a" * 64, "N1:k1:" + "a" * 64, "a" * 64, "é"])
def test_a_message_without_a_good_signature_is_refused(signature: Any) -> None:
    assert reason({**foreign(), "message_signature": signature})
    assert reason({**ours(), "message_signature": signature})


def test_a_message_that_names_a_publisher_of_ours_has_none_of_its_rights_by_a_shared_secret() -> None:
    item = genuine(foreign(publisher_id="compute/host-1"))

    assert item.signer[0] != "n1"


@pytest.mark.parametrize("publisher", ["a\0b", "\ud800", "x" * 1_025])
def test_a_publisher_that_cannot_be_stored_costs_only_its_own_message(publisher: str) -> None:
    message = {**foreign(), "publisher_id": publisher}

    assert reason(message)
    if publisher != "\ud800":  # which no agent could sign
        assert reason(foreign(publisher_id=publisher)).startswith("publisher_id")


@pytest.mark.parametrize(
    ("message_id", "is_uuid"),
    [
        ("2d6e0f7a-c86a-11f0-8de9-0242ac120002", True),
        ("2D6E0F7A-C86A-11F0-8DE9-0242AC120002", False),
        ("2d6e0f7ac86a11f08de90242ac120002", False),
        ("urn:uuid:2d6e0f7a-c86a-11f0-8de9-0242ac120002", False),
        ("not a uuid", False),
        ("größe", False),
        ("x" * 1_024, False),
    ],
)
def test_an_id_of_any_form_is_kept_and_has_one_key(message_id: str, is_uuid: bool) -> None:
    item = genuine(foreign(message_id=message_id))

    assert item.foreign_id
    assert (item.message_id == "2d6e0f7a-c86a-11f0-8de9-0242ac120002") == is_uuid
    assert item.message_id == genuine(foreign(message_id=message_id)).message_id
    assert item.original is not None
    assert json.loads(item.original)["message_id"] == message_id


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-11-23T11:59:00",
        "2026-11-23 11:59:00",
        "2026-11-23T11:59:00Z",
        "2026-11-23T12:59:00+01:00",
        "2026-11-23T11:59:00.000",
    ],
)
def test_a_time_of_another_form_is_understood_and_kept_as_it_was_signed(timestamp: str) -> None:
    item = genuine(foreign(timestamp=timestamp))

    assert item.ts.isoformat() == "2026-11-23T11:59:00+00:00"
    assert item.original is not None
    assert json.loads(item.original)["timestamp"] == timestamp


def test_a_time_out_of_bounds_is_refused() -> None:
    assert "older than 30 days" in reason(foreign(timestamp="2020-01-01T00:00:00"))
    assert "ahead" in reason(foreign(timestamp="2027-01-01T00:00:00"))
    assert "before 1970" in reason(foreign(timestamp="1960-01-01T00:00:00"))


@pytest.mark.parametrize("name", ["counter_unit", "user_id", "project_id", "resource_metadata", "monotonic_time"])
def test_a_field_that_older_agents_did_not_send_may_be_missing(name: str) -> None:
    message = foreign(**{name: ...})

    assert genuine(message).original == json.dumps(message)


@pytest.mark.parametrize(
    "name", ["source", "counter_name", "counter_type", "counter_volume", "resource_id", "timestamp", "message_id"]
)
def test_a_field_that_a_sample_needs_may_not_be_missing(name: str) -> None:
    assert reason(foreign(**{name: ...})) == f"{name} is missing"


WRONG: dict[str, list[Any]] = {
    "source": [None, 7, [], {}, "", "a\0b", "x" * 1_025],
    "counter_name": [None, 7, [], {}, "", "a\0b"],
    "counter_type": [None, 7, [], {}, "level"],
    "counter_unit": [None, 7, [], {}],
    "counter_volume": [None, "7", [], {}, True, 10**400],
    "user_id": [7, [], {}, "a\0b"],
    "project_id": [7, [], {}, "a\0b"],
    "resource_id": [None, 7, [], {}, "", "é" * 651],
    "timestamp": [None, 7, [], {}, "", "now"],
    "resource_metadata": [None, 7, [], "text", {"a": "x" * 70_000}],
    "message_id": [None, 7, [], {}, "", "x" * 1_025, "a\0b"],
    "publisher_id": ["a\0b"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_a_field_of_the_wrong_form_is_refused_although_it_was_signed(name: str, value: Any) -> None:
    assert name in reason(foreign(**{name: value})) or name == "counter_type"


NO_MESSAGES: list[Any] = [
    *("", "{", "[]", "null", "7", '"x"', "NaN", "{}", '{"counter_volume": NaN}', "[" * 50_000, '{"a":' * 20_000),
    json.dumps(foreign()).replace("7", "9" * 5_000, 1),
    json.dumps(foreign()).replace('"counter_volume": 7', '"counter_volume": NaN'),
    json.dumps(foreign()).replace('"counter_volume": 7', '"counter_volume": 1e999'),
    json.dumps(foreign())[:-1],
    json.dumps(foreign()) + "}",
]


@pytest.mark.parametrize("text", NO_MESSAGES, ids=range(len(NO_MESSAGES)))
def test_a_text_that_is_no_message_costs_only_itself(text: str) -> None:
    assert reason(text)


@pytest.mark.parametrize("value", [None, 7, [], {}, True, [{"a": 1}]])
def test_what_is_no_text_is_refused_as_it_came(value: Any) -> None:
    [batch] = packing.pack_whole(["{}"], signer=SIGNER, source="x")
    parts = json.loads(batch) | {"whole": [value, json.dumps(foreign())]}

    sifted = Sifter(RULES).sift(messages.read(json.dumps(parts)), NOW)

    assert len(sifted.genuine) == 1
    assert [json.loads(refused.body) for refused in sifted.refused] == [value]


def test_a_message_with_a_key_twice_is_what_its_last_one_says_as_every_reader_has_it() -> None:
    text = json.dumps(foreign()).replace('{"source"', '{"source": "forged", "source"', 1)

    assert genuine(text).series.key[0] == "openstack"


fields = st.sampled_from([*WRONG, "message_signature", "extra"])


@many
@given(st.lists(json_values.map(json.dumps) | st.text(max_size=50), max_size=3), st.dictionaries(fields, json_values))
def test_no_message_makes_sifting_raise_also_when_it_was_signed(texts: list[str], changed: dict[str, Any]) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    try:
        signed = [foreign(**changed)]
    except UnicodeEncodeError:
        signed = []
    whole = [*texts, *signed, {**foreign(), **changed}, {**ours(), **changed}]

    sifted = sift(*whole)

    assert len(sifted.genuine) + len(sifted.refused) == len(whole)


@few
@given(st.dictionaries(st.sampled_from([*WRONG, "extra"]), json_values, min_size=1, max_size=2))
def test_a_message_that_was_signed_otherwise_is_never_genuine(changed: dict[str, Any]) -> None:
    for message in (foreign(), ours()):
        if any(message.get(name, ...) != value for name, value in changed.items()):
            for item in sift({**message, **changed}).genuine:
                assert set(changed) == {"extra"}  # which ours does not sign, and keeps as it came
                assert item.original is not None
