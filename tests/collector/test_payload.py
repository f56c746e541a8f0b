from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import payload as read


@pytest.mark.parametrize(
    ("value", "expected"), [(5, 5.0), (2.5, 2.5), ("7", 7.0), (" 1e3 ", 1000.0), (0, 0.0), ("0", 0.0)]
)
def test_a_number_may_come_as_text(value: Any, expected: float) -> None:
    assert read.number({"size": value}, "size") == expected


@pytest.mark.parametrize("payload", [{}, {"size": None}, {"size": ""}])
def test_no_number_is_no_reading_and_is_logged(payload: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert read.number(payload, "size") is None
    assert "size" in caplog.text


@pytest.mark.parametrize(
    "value", ["much", True, [], {}, float("nan"), float("inf"), "nan", "-Infinity", "1e999", 10**400]
)
def test_what_is_no_finite_number_is_an_error_that_names_the_field(value: Any) -> None:
    with pytest.raises(ValueError, match="size"):
        read.number({"size": value}, "size")


@pytest.mark.parametrize("value", [7, [], {"id": 1}, True])
def test_an_id_is_a_text(value: Any) -> None:
    with pytest.raises(ValueError, match="owner"):
        read.text({"owner": value}, "owner")


@pytest.mark.parametrize("payload", [{}, {"id": ""}, {"id": None}])
def test_a_resource_must_be_named(payload: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="id"):
        read.resource(payload, "id")


def test_user_metadata_is_what_was_meant_for_metering() -> None:
    tags = {"metering.cost.center": "4711", "metering.": "empty", "purpose": "frontend", "metering.n": 5}

    assert read.user_metadata(tags, taken={}) == {"cost_center": "4711", "": "empty", "n": 5}


def test_user_metadata_cuts_long_texts_and_leaves_taken_keys_alone() -> None:
    tags = {"metering.note": "x" * 300, "metering.host": "mine"}

    assert read.user_metadata(tags, taken={"host": "compute-07"}) == {"note": "x" * 256}


@pytest.mark.parametrize("tags", [None, [], [{"key": "metering.a", "value": "b"}], "metering.a"])
def test_user_metadata_of_another_shape_is_none(tags: Any) -> None:
    assert read.user_metadata(tags, taken={}) == {}


@given(st.dictionaries(st.text(), st.none() | st.text() | st.integers() | st.floats()))
def test_any_value_is_a_number_or_none_or_an_error(payload: dict[str, Any]) -> None:
    for key in payload:
        try:
            number = read.number(payload, key)
        except ValueError:
            continue
        assert number is None or abs(number) < float("inf")
