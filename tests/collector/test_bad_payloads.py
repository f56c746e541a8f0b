"""Whatever a service, or somebody in its name, says: it costs the rows that need it, and is kept with their names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.hearing import Heard, hear
from metering import messages, packing
from tests.collector.bodies import RECORDED, body, recorded
from tests.collector.line import SIGNER
from tests.collector.test_shipped_meters import INDEXES

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "2026-11-23T10:00:00Z", "0001-01-01", "9999-12-31T23:59:59-14:00", "1e400", "nan", "-7"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def heard(message: Any) -> list[Heard]:
    """By both forms of nova, on every exchange where somebody waits."""
    return [
        hear(body(message), exchange, index)
        for index in INDEXES.values()
        for exchange in index.exchanges(message["event_type"])
    ]


def is_told(result: Heard) -> bool:
    """Every failure names who failed, and each counter can be sent."""
    packed = packing.pack(result.counters, signer=SIGNER, source="openstack")
    assert sum(len(messages.read(batch).rows) for batch in packed) == len(result.counters)
    return all(failure.reason.startswith("listener ") and failure.error for failure in result.failures)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A recorded body, something in it replaced or left out, however deep it stands."""
    message = recorded(draw(st.sampled_from(RECORDED)))
    for _ in range(draw(st.integers(1, 4))):
        inner: Any = message["payload"]
        while isinstance(inner, dict | list) and inner:
            key = draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
            if not isinstance(inner[key], dict | list) or not inner[key] or draw(st.booleans()):
                if draw(st.booleans()):
                    inner[key] = draw(json_values)
                else:
                    del inner[key]
                break
            inner = inner[key]
    return message


@settings(deadline=None)
@given(damaged())
def test_no_damage_to_a_body_gets_past_those_who_need_what_it_damaged(message: dict[str, Any]) -> None:
    assert all(is_told(result) for result in heard(message))


@settings(deadline=None)
@given(st.sampled_from(RECORDED), json_values)
def test_no_payload_whatever_brings_a_row_down(event_type: str, payload: Any) -> None:
    assert all(is_told(result) for result in heard(recorded(event_type) | {"payload": payload}))


@pytest.mark.parametrize("payload", [[], "text", None, 7, [{"volume_id": "v"}]])
def test_a_payload_that_is_no_object_is_kept_with_the_name_of_every_row(payload: Any) -> None:
    [result, _] = heard(recorded("volume.exists") | {"payload": payload})

    assert result.counters == ()
    assert [failure.reason for failure in result.failures] == [
        "listener cinder.volume failed",
        "listener cinder.volume.changes failed",
        "listener cinder.volume.size failed",
    ]
    assert "it has no resource_id ($.payload.volume_id)" in result.failures[0].error
    assert "its payload is not an object" in result.failures[2].error


@pytest.mark.parametrize("size", ["much", True, [], {}, "nan", "-Infinity", "1e999"])
def test_a_volume_that_is_no_number_costs_only_its_row(size: Any) -> None:
    [result, _] = heard(recorded("volume.exists", size=size))

    assert {c.name for c in result.counters} == {"volume", "volume.exists"}
    assert [failure.reason for failure in result.failures] == ["listener cinder.volume.size failed"]
    assert "volume ($.payload.size)" in result.failures[0].error


@pytest.mark.parametrize("volume_id", [None, "", 7, [], {"id": "v"}, "x" * 2_000, "a\0b"])
def test_what_is_of_nothing_is_no_sample_and_is_kept(volume_id: Any) -> None:
    [result, _] = heard(recorded("volume.exists", volume_id=volume_id))

    assert result.counters == ()
    assert len(result.failures) == 3


@pytest.mark.parametrize("times", [("soon", "2026-11-23"), (7, "2026-11-23"), ("2026-13-45", "2026-11-23")])
def test_an_audit_period_that_is_no_time_is_kept(times: tuple[Any, Any]) -> None:
    message = recorded("trove.instance.exists", audit_period_beginning=times[0], audit_period_ending=times[1])

    [result, _] = heard(message)

    assert result.counters == ()
    assert [failure.reason for failure in result.failures] == ["listener trove.instance.exists failed"]
