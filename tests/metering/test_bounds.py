"""What a field may be, for plugin hosts and storage workers alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.bounds import check_series, check_text, check_volume, parse_timestamp, timestamp_text
from metering.counters import Kind
from metering.errors import BadCounter, MalformedMessage
from tests.metering.strategies import many, volumes

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05.000006+00:00",
        "2026-01-02T03:04:05.000006",
        "2026-01-02 03:04:05.000006",
        "2026-01-02T03:04:05.000006Z",
        "2026-01-02T05:04:05.000006+02:00",
        "2026-01-01T21:34:05.000006-05:30",
        "20260102T030405.000006Z",
        "2026-01-02T03:04:05.0000069Z",
    ],
)
def test_a_time_may_come_in_any_iso_form_and_is_utc_without_a_zone(text: str) -> None:
    assert parse_timestamp(text) == MOMENT


def test_a_day_alone_is_its_midnight() -> None:
    assert parse_timestamp("2026-01-02") == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [None, 1767323045, 1.5, True, [], {}, b"2026-01-02T03:04:05", "", "now", "2026-01-02T25:00:00", "02/01/2026 10:00",
     "2026-13-02T03:04:05", "9" * 41, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "２０２６-01-02"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(MalformedMessage, match="timestamp"):
        parse_timestamp(text)


@many
@given(st.datetimes(timezones=zones))
def test_a_time_is_written_in_one_way_and_read_back(moment: datetime) -> None:
    try:
        text = timestamp_text(moment)
    except BadCounter:
        assert moment.year in (1, 9999)  # beyond the calendar, once it is UTC
        return

    assert len(text) == 32
    assert text.endswith("+00:00")
    assert parse_timestamp(text) == moment


@pytest.mark.parametrize("moment", [MOMENT.replace(tzinfo=None), "2026-01-02T03:04:05Z", 1767323045, None])
def test_a_counter_s_time_must_be_one_and_have_a_zone(moment: Any) -> None:
    with pytest.raises(BadCounter):
        timestamp_text(moment)


def test_a_time_beyond_the_calendar_is_a_bad_counter() -> None:
    with pytest.raises(BadCounter):
        timestamp_text(datetime.min.replace(tzinfo=timezone(timedelta(hours=1))))


@pytest.mark.parametrize("text", ["a", "x" * 1024, "é" * 650, " ", "\n", "🚀" * 325, "\x7f"])
def test_a_text_may_hold_what_fits_into_an_index(text: str) -> None:
    check_text("resource_id", text)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "must be text, not NoneType"),
        (1, "must be text, not int"),
        (True, "must be text, not bool"),
        (b"a", "must be text, not bytes"),
        (["a"], "must be text, not list"),
        ("", "is empty"),
        ("x" * 1025, "is longer than 1024 characters or 1300 bytes"),
        ("é" * 651, "is longer than 1024 characters or 1300 bytes"),
        ("a\0b", "holds a NUL"),
        ("a\ud800b", "holds a lone surrogate"),
        ("\udfff", "holds a lone surrogate"),
    ],
)
def test_a_text_out_of_bounds_is_refused_by_the_name_of_its_field(value: object, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=f"^resource_id {reason}$"):
        check_text("resource_id", value)


GOOD: dict[str, Any] = {
    "name": "cpu", "type_": "gauge", "unit": "ns", "user_id": "u", "project_id": "p", "resource_id": "r"
}  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [{}, {"unit": ""}, {"user_id": None}, {"user_id": ""}, {"project_id": None}, {"project_id": ""},
     {"type_": Kind.DELTA}, {"type_": "cumulative"}],
)  # fmt: skip
def test_unit_and_owner_may_be_empty_and_an_owner_null(changed: dict[str, Any]) -> None:
    check_series(**{**GOOD, **changed})


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"name": ""}, "counter_name"), ({"name": None}, "counter_name"), ({"unit": None}, "counter_unit"),
     ({"resource_id": ""}, "resource_id"), ({"resource_id": None}, "resource_id"), ({"user_id": 1}, "user_id"),
     ({"project_id": []}, "project_id"), ({"type_": "Gauge"}, "counter_type"), ({"type_": None}, "counter_type"),
     ({"type_": []}, "counter_type"), ({"type_": "x" * 10**6}, "counter_type")],
)  # fmt: skip
def test_what_a_series_may_not_be_is_refused_by_name(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedMessage, match=rf"^{field} ") as refused:
        check_series(**{**GOOD, **changed})
    assert len(str(refused.value)) < 200


@many
@given(volumes | st.integers(-(10**300), 10**300))
def test_any_finite_number_is_a_volume(volume: float) -> None:
    checked = check_volume(volume)

    assert type(checked) is float
    assert checked == float(volume)


@pytest.mark.parametrize(
    "volume", [None, True, False, "1", "NaN", [], {}, b"1", 1j, float("nan"), float("inf"), -float("inf"), 10**400]
)
def test_what_is_no_finite_number_is_no_volume(volume: object) -> None:
    with pytest.raises(MalformedMessage, match="counter_volume"):
        check_volume(volume)
