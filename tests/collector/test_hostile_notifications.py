"""Bodies that no service would send, and some that one did: none costs the consumer or another notification."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.dead_letters import LARGEST_KEPT, DeadLetter
from collector.event_types import REMEMBERED
from collector.hearing import Failure, Heard, hear
from collector.index import Index, subscribe
from collector.notification import LARGEST_BODY, without_secrets
from metering import messages, packing
from tests.collector.bodies import RECORDED, body, enveloped, recorded
from tests.collector.conftest import Start
from tests.collector.line import SIGNER, OurBus, Services, bytes_of, eventually, index_of, reads
from tests.collector.rows import SHIPPED

INDEX = index_of()
EVERYTHING = Index(subscribe(name, row) for name, row in SHIPPED.items())
WANTED = [event_type for event_type in RECORDED if EVERYTHING.exchanges(event_type)]
TOKEN = b"gAAAA"  # how the recorded ones begin
busy = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)

hostile_texts = st.sampled_from(
    ["", "\0", "a\0b", "\ud800", "NaN", "1e999", "-1", "0x10", "٣", "x" * 2_000, "2026-13-45", "9999-12-31T23:59:59Z",
     "0001-01-01", "None", "${7*7}", "'; DROP TABLE sample; --", "../../etc/passwd"]
) | st.text(max_size=30)  # fmt: skip
hostile_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | hostile_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_texts, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("end", [None, -1, -200])
@pytest.mark.parametrize("envelope", [body, lambda message: enveloped(message, "9.0")])
def test_a_token_in_a_context_is_not_kept_even_of_what_cannot_be_decoded(envelope: Any, end: int | None) -> None:
    message = {"_context_auth_token": "gAAAAAB", "_context_service_Token": "gAAAAC"} | recorded("volume.exists")

    kept = without_secrets(envelope(message)[:end])

    assert b"volume.exists" in kept
    assert TOKEN not in kept
    assert without_secrets(kept) == kept


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


BAD = {
    "empty": b"",
    "blank": b" \n",
    "not JSON": b"hello",
    "binary": bytes(range(256)),
    "half": body(recorded("volume.exists"))[:-40],
    "a list": b"[]",
    "a number": b"5",
    "null": b"null",
    "not finite": b'{"event_type": "volume.exists", "payload": {"size": NaN}}',
    "a lone surrogate": b'{"event_type": "volume.exists", "x": "\\ud800"}',
    "another version": enveloped(recorded("volume.exists"), "3.0"),
    "a newer version": enveloped(recorded("volume.exists"), "2.7"),
    "an odd version": enveloped(recorded("volume.exists"), ["2.0"]),
    "an envelope of an object": json.dumps({"oslo.version": "2.0", "oslo.message": {}}).encode(),
    "an envelope of a list": enveloped([]),
    "an envelope of nonsense": b'{"oslo.version": "2.0", "oslo.message": "{"}',
    "no event type": b'{"message_id": "m", "payload": {}}',
    "an odd event type": b'{"event_type": ["volume.exists"], "payload": {}}',
    "a long event type": body(recorded("volume.exists") | {"event_type": "x" * 300}),
    "no message_id": body({k: v for k, v in recorded("volume.exists").items() if k != "message_id"}),
    "no payload": body({k: v for k, v in recorded("volume.exists").items() if k != "payload"}),
    "no resource": body(recorded("volume.exists", volume_id=None)),
    "an empty resource": body(recorded("volume.exists", volume_id="")),
    "a resource with a NUL": body(recorded("volume.exists", volume_id="a\0b")),
    "a resource that is a number": body(recorded("volume.exists", volume_id=7)),
    "a size that is a word": body(recorded("volume.exists", size="large")),
    "a size beyond a double": body(recorded("volume.exists", size=10**400)),
    "a size that is not finite": body(recorded("volume.exists", size="inf")),
    "a payload that is a list": body(recorded("volume.exists") | {"payload": [{"volume_id": "v"}]}),
    "no time": body(recorded("volume.exists") | {"timestamp": None}),
    "a time before 1970": body(recorded("volume.exists") | {"timestamp": "1969-01-01 00:00:00"}),
    "a time that is none": body(recorded("volume.exists") | {"timestamp": "yesterday"}),
    "a time beyond the calendar": body(recorded("volume.exists") | {"timestamp": "0001-01-01T00:00:00+23:00"}),
    "deep": nested(100),
    "deeper than any parser goes": nested(100_000),
    "deep inside the envelope": json.dumps({"oslo.version": "2.0", "oslo.message": nested(100).decode()}).encode(),
    "large": b'{"event_type": "volume.exists", "payload": "' + b"x" * (5 << 20) + b'"}',
}  # fmt: skip


@busy
@given(st.binary(max_size=200) | st.text(max_size=200) | hostile_values.map(lambda value: json.dumps(value).encode()))
def test_no_body_at_all_brings_the_consumer_down(raw: bytes | str) -> None:
    assert isinstance(hear(raw, "cinder", INDEX), Heard)


@busy
@given(st.data())
def test_no_field_of_a_notification_brings_the_consumer_down_or_gives_what_is_no_sample(data: st.DataObject) -> None:
    event_type = data.draw(st.sampled_from(WANTED))
    message = recorded(event_type)
    keys = st.sampled_from([*sorted(message), "_context_user_id", "_context_project_id"])
    message |= data.draw(st.dictionaries(keys, hostile_values, max_size=2))
    if isinstance(message["payload"], dict):
        fields = st.sampled_from(sorted(message["payload"]) or ["x"])
        message["payload"] |= data.draw(st.dictionaries(fields, hostile_values, max_size=3))
    raw = data.draw(st.sampled_from([body, enveloped]))(message)

    heard = hear(raw, EVERYTHING.exchanges(event_type)[0], EVERYTHING)

    packed = packing.pack(heard.counters, signer=SIGNER, source="openstack")
    assert sum(len(messages.read(batch).rows) for batch in packed) == len(heard.counters)


@pytest.mark.parametrize("name", BAD)
def test_what_is_bad_is_refused_with_a_reason_and_gives_no_sample(name: str) -> None:
    heard = hear(BAD[name], "cinder", INDEX)

    assert heard.counters == ()
    assert len(heard.failures) == 1
    assert heard.failures[0].reason.isprintable()
    assert heard.failures[0].error


def test_a_hostile_stream_loses_no_good_notification_and_keeps_every_bad_one(broker_url: str, start: Start) -> None:
    ours, services = OurBus(broker_url), Services(broker_url)
    ours.listen()
    running = start(broker_url, broker_url)
    assert reads(running, "cinder")

    good = [recorded("volume.exists", volume_id=f"v-{number}") | {"message_id": f"m-{number}"} for number in range(40)]
    said = [raw for pair in zip([body(one) for one in good], BAD.values(), strict=False) for raw in pair]
    said += [body(one) for one in reversed(good)]  # each again, and out of order
    for raw in said:
        services.say_raw("cinder", raw)

    assert eventually(lambda: running.acknowledged == len(said), seconds=60)
    samples = ours.samples()
    assert {sample["resource_id"] for sample in samples} == {one["payload"]["volume_id"] for one in good}
    assert len({sample["message_id"] for sample in samples}) == 2 * len(good)
    kept = {bytes_of(dead) for dead in ours.dead()}
    assert {name for name, raw in BAD.items() if without_secrets(raw) not in kept} == set()
    assert not any(TOKEN in raw for raw in kept)
    assert len(kept) == len(BAD)
    assert any(len(raw) > LARGEST_BODY for raw in kept)


def test_what_is_too_large_for_a_broker_is_kept_as_far_as_can_be(amqp_url: str, start: Start) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    ours.listen()
    running = start(amqp_url, amqp_url)
    assert reads(running, "cinder")

    services.say_raw("cinder", b"x" * (LARGEST_KEPT + 1))

    assert eventually(lambda: running.acknowledged == 1, seconds=20)
    [large] = ours.dead()
    assert len(large.body) == LARGEST_KEPT
    assert large.headers["reason"].endswith(f"cut off after {LARGEST_KEPT} of {LARGEST_KEPT + 1}")


def test_an_error_that_is_no_text_is_kept_as_one() -> None:
    failure = Failure("listener odd failed", "ValueError: \ud800\0 and more")

    headers = DeadLetter(b"{}", "application/json", "amqp://host//", "cinder", None, (failure,)).headers

    assert headers["traceback"].encode() == b"ValueError: ?\0 and more"


def test_a_flood_of_unknown_event_types_fills_no_memory(amqp_url: str, start: Start) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    ours.listen()
    running = start(amqp_url, amqp_url)
    assert reads(running, "cinder")

    flood: list[dict[str, Any]] = [
        recorded("volume.exists") | {"event_type": f"made.up.{number}", "message_id": f"m-{number}"}
        for number in range(REMEMBERED + 1_000)
    ]
    services.say("cinder", *flood, recorded("volume.create.end"))

    assert eventually(lambda: running.acknowledged == len(flood) + 1, seconds=60)
    assert running.consumer.tally.unwanted == len(flood)
    assert running.consumer.index.find.cache_info().currsize <= REMEMBERED
    assert len(ours.samples()) == 2
