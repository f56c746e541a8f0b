from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.batch import MOST_NOTIFICATIONS, Batch
from collector.hearing import Heard, hear
from collector.index import Index
from collector.notification import Notification
from metering import messages, packing
from metering.counters import Counter, Kind, Meter
from tests.collector.bodies import RECORDED, body, recorded
from tests.collector.line import LISTENERS, SIGNER, index_of

ODD = Meter("odd", Kind.GAUGE, "x")
DEEP: dict[str, Any] = {}
for _ in range(200):
    DEEP = {"inner": DEEP}
WANTED = [event_type for event_type in RECORDED if index_of().exchanges(event_type)]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class Yields:
    """A listener that yields what it was given."""

    meters = (ODD,)
    exchange = "cinder"
    event_types = ("volume.exists",)

    def __init__(self, *counters: Any) -> None:
        self._counters = counters

    def counters(self, notification: Notification) -> Iterable[Counter]:
        return self._counters


def heard(*counters: Any) -> Heard:
    index = index_of(odd=Yields(*counters), volume=LISTENERS["volume"])
    return hear(body(recorded("volume.exists")), "cinder", index)


def test_time_and_origin_are_the_notifications_where_a_listener_leaves_them_out() -> None:
    counter = heard(ODD.read(1, resource_id="r")).counters[0]

    assert counter.timestamp == datetime(2026, 11, 23, 11, 0, 0, 2, tzinfo=UTC)
    assert counter.origin == "7d2c2f84-2f8d-4f6b-9f4d-2a4db03d9c34"


def test_a_listener_may_say_another_time() -> None:
    earlier = datetime(2026, 11, 23, 10, tzinfo=UTC)

    assert heard(ODD.read(1, resource_id="r", timestamp=earlier)).counters[0].timestamp == earlier


@pytest.mark.parametrize(
    "bad",
    [
        ODD.read(float("nan"), resource_id="r"),
        ODD.read("5", resource_id="r"),  # type: ignore[arg-type] # that is what is tried
        ODD.read(1, resource_id=""),
        ODD.read(1, resource_id="a\0b"),
        ODD.read(1, resource_id="x" * 2_000),
        ODD.read(1, resource_id="r", project_id=7),  # type: ignore[arg-type] # that is what is tried
        ODD.read(1, resource_id="r", timestamp=datetime(2026, 11, 23, 10)),  # noqa: DTZ001 # that is what is tried
        ODD.read(1, resource_id="r", timestamp=datetime(1969, 12, 31, tzinfo=UTC)),
        ODD.read(1, resource_id="r", resource_metadata={"a": object()}),
        ODD.read(1, resource_id="r", resource_metadata=DEEP),
        ODD.read(1, resource_id="r", resource_metadata={"a": "x" * 100_000}),
        None,
        {"name": "odd"},
    ],
)
def test_a_counter_that_can_be_no_sample_fails_its_listener_while_its_notification_is_at_hand(bad: Any) -> None:
    result = heard(ODD.read(1, resource_id="good"), bad)

    assert {counter.name for counter in result.counters} == {"volume", "volume.size"}
    [failure] = result.failures
    assert failure.reason == "listener odd failed"
    assert failure.error


def test_what_nobody_wants_is_not_even_parsed() -> None:
    assert hear(b'{"event_type": "volume.odd"}', "cinder", index_of()) == Heard("volume.odd")


@pytest.mark.parametrize("payload", [[], "text", None, 7, [{"volume_id": "v"}]])
def test_a_payload_that_is_no_object_is_kept(payload: Any) -> None:
    result = hear(body(recorded("volume.exists") | {"payload": payload}), "cinder", index_of())

    assert result.counters == ()
    assert [failure.reason for failure in result.failures] == ["listener volume failed"]


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.data())
def test_no_payload_brings_a_listener_down_or_gives_a_counter_that_is_no_sample(data: st.DataObject) -> None:
    message = recorded(data.draw(st.sampled_from(WANTED)))
    fields = st.sampled_from(sorted(message["payload"]))
    message["payload"].update(data.draw(st.dictionaries(fields, json_values, max_size=4)))
    index: Index = index_of()

    result = hear(body(message), index.exchanges(message["event_type"])[0], index)

    packed = packing.pack(result.counters, signer=SIGNER, source="openstack")
    assert sum(len(messages.read(batch).rows) for batch in packed) == len(result.counters)


def test_a_batch_never_packs_a_notification_with_its_own_repetition() -> None:
    batch, one, two = Batch(), heard(ODD.read(1, resource_id="r")), heard(ODD.read(1, resource_id="r"))

    batch.add("first", one, None)
    batch.add("again", two, None)

    assert [len(pack.counters) for pack in batch.packs] == [3, 3]
    assert batch.messages == ["first", "again"]


def test_a_batch_is_full_by_notifications_even_if_they_mean_nothing() -> None:
    batch = Batch()
    assert batch.wait() is None
    for number in range(MOST_NOTIFICATIONS):
        assert not batch.full
        batch.add(number, Heard("volume.odd"), None)

    assert batch.full
    assert batch.wait() == 0.0
