from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.notification import DEEPEST_BODY, LARGEST_BODY, Notification, decode, parse, parse_time, without_secrets
from metering.errors import MalformedNotification
from tests.collector.bodies import RECORDED, body, enveloped, recorded

NOON = datetime(2026, 11, 23, 12, 30, 0, 250000, tzinfo=UTC)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
field_names = st.sampled_from(
    ["event_type", "message_id", "publisher_id", "priority", "timestamp", "payload", "_context_user_id",
     "_context_auth_token", "oslo.version", "oslo.message"],
)  # fmt: skip


@pytest.mark.parametrize("event_type", RECORDED)
def test_every_recorded_body_is_read_alike_from_both_envelopes(event_type: str) -> None:
    message = recorded(event_type)

    bare, wrapped = parse(decode(body(message))), parse(decode(enveloped(message)))

    assert bare == wrapped
    assert bare.event_type == event_type
    assert bare.priority == "info"
    assert bare.payload == message["payload"]


def test_a_body_may_come_as_text() -> None:
    message = recorded("volume.exists")

    assert parse(decode(body(message).decode())) == parse(decode(body(message)))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23 12:30:00.250000",
        "2026-11-23T12:30:00.250000",
        "2026-11-23T12:30:00.250000Z",
        "2026-11-23T12:30:00.25Z",
        "2026-11-23 12:30:00.250000+00:00",
        "2026-11-23T14:30:00.250000+02:00",
        " 2026-11-23T12:30:00.250000 ",
    ],
)
def test_every_form_of_timestamp_is_the_same_moment(text: str) -> None:
    assert parse_time(text) == NOON
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", "2026-13-01 00:00:00", 1763900000, "0001-01-01T00:00:00+14:00"]
)
def test_what_is_no_time_is_malformed(value: object) -> None:
    with pytest.raises(MalformedNotification, match="timestamp"):
        parse(recorded("volume.exists") | {"timestamp": value})


def test_of_the_context_only_ids_are_kept() -> None:
    notification = parse(recorded("compute.instance.create.end"))

    assert set(notification.context) <= {"user", "user_id", "tenant", "project_id", "request_id"}
    assert "gAAAA" not in repr(dataclasses.asdict(notification))


@pytest.mark.parametrize("name", ["_context_project_id", "_context_tenant_id", "_context_tenant"])
def test_a_context_names_its_project_in_three_ways(name: str) -> None:
    assert _with_context({name: "p-1"}).project_id == "p-1"


@pytest.mark.parametrize("name", ["_context_user_id", "_context_user"])
def test_a_context_names_its_user_in_two_ways(name: str) -> None:
    assert _with_context({name: "u-1"}).user_id == "u-1"


def test_a_context_may_say_nothing() -> None:
    notification = _with_context({"_context_user_id": None, "_context_project_id": {"id": 1}})

    assert (notification.user_id, notification.project_id) == (None, None)


@pytest.mark.parametrize("version", ["2.0", "1.0", "2.1", "3.0", "2", "", 2.0, None])
def test_only_envelopes_of_version_2_0_are_read(version: object) -> None:
    wrapped = enveloped(recorded("volume.exists"), version)
    if version == "2.0":
        assert decode(wrapped)["event_type"] == "volume.exists"
    else:
        with pytest.raises(MalformedNotification, match="envelope"):
            decode(wrapped)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x80\x04\x95",
        b"not json",
        b"[]",
        b'"text"',
        b"null",
        b'{"event_type": "a"',
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"oslo.version": "2.0", "oslo.message": {"event_type": "a"}}',
        b'{"oslo.version": "2.0", "oslo.message": "[1, 2]"}',
        b'{"oslo.version": "2.0", "oslo.message": "{"}',
    ],
)
def test_what_is_no_json_object_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedNotification):
        decode(raw)


@pytest.mark.parametrize("field", ["event_type", "message_id", "payload", "timestamp"])
def test_a_notification_without_one_of_these_is_malformed(field: str) -> None:
    message = recorded("volume.exists")
    del message[field]

    with pytest.raises(MalformedNotification, match=field):
        parse(message)


@pytest.mark.parametrize("field", ["event_type", "message_id"])
@pytest.mark.parametrize("value", ["", None, 7, ["a"], "x" * 256])
def test_names_are_short_texts(field: str, value: object) -> None:
    with pytest.raises(MalformedNotification, match=field):
        parse(recorded("volume.exists") | {field: value})


def test_a_notification_needs_neither_publisher_nor_priority() -> None:
    message = recorded("volume.exists")
    del message["publisher_id"], message["priority"]

    notification = parse(message)

    assert (notification.publisher_id, notification.priority) == ("", "info")


def test_a_body_of_five_megabytes_is_refused() -> None:
    with pytest.raises(MalformedNotification, match="larger"):
        decode(body({"event_type": "a", "payload": "x" * LARGEST_BODY}))


@pytest.mark.parametrize("wrap", [body, enveloped])
@pytest.mark.parametrize("levels", [DEEPEST_BODY + 1, 900, 100_000])
def test_deep_nesting_is_refused(wrap: Any, levels: int) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    raw = deep.encode() if wrap is body else json.dumps({"oslo.version": "2.0", "oslo.message": deep}).encode()

    with pytest.raises(MalformedNotification):
        decode(raw)


def test_many_brackets_side_by_side_are_no_nesting() -> None:
    message = recorded("volume.exists", volume_attachment=[{"server_id": str(number)} for number in range(500)])

    assert len(decode(enveloped(message))["payload"]["volume_attachment"]) == 500


def test_what_is_kept_for_later_holds_no_token() -> None:
    message = recorded("compute.instance.create.end")

    for raw in (body(message), enveloped(message)):
        kept = without_secrets(raw)
        assert b"gAAAA" in raw
        assert "gAAAA" not in str(kept)
        assert parse(decode(kept)) == parse(decode(raw))


def test_what_holds_no_token_is_kept_byte_for_byte() -> None:
    for raw in (body(recorded("image.upload")), b"\xff no json"):
        assert without_secrets(raw) is raw


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    _read_or_refused(raw)


@given(st.dictionaries(field_names | st.text(), json_values, max_size=8))
def test_any_json_is_read_or_refused(message: dict[str, Any]) -> None:
    _read_or_refused(json.dumps(message).encode())
    _read_or_refused(enveloped(message))


@given(field_names, json_values)
def test_a_good_notification_with_one_strange_field_is_read_or_refused(name: str, value: Any) -> None:
    _read_or_refused(json.dumps(recorded("volume.create.end") | {name: value}).encode())


def _read_or_refused(raw: bytes) -> None:
    try:
        notification = parse(decode(raw))
    except MalformedNotification:
        return
    assert notification.timestamp.tzinfo is UTC
    assert notification.event_type
    assert notification.message_id


def _with_context(context: dict[str, Any]) -> Notification:
    message = recorded("volume.exists")
    bare = {key: value for key, value in message.items() if not key.startswith("_context_")}
    return parse(bare | context)
