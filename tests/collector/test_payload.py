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
    assert read.number(value, "size") == expected


@pytest.mark.parametrize("value", [None, ""])
def test_no_number_is_no_reading(value: Any) -> None:
    assert read.number(value, "size") is None


@pytest.mark.parametrize(
    "value", ["much", True, [], {}, float("nan"), float("inf"), "nan", "-Infinity", "1e999", 10**400]
)
def test_what_is_no_finite_number_is_an_error_that_names_the_field(value: Any) -> None:
    with pytest.raises(ValueError, match="size"):
        read.number(value, "size")


@pytest.mark.parametrize("value", [7, [], {"id": 1}, True])
def test_an_id_is_a_text(value: Any) -> None:
    with pytest.raises(ValueError, match="owner"):
        read.text(value, "owner")


@pytest.mark.parametrize("value", ["", None])
def test_a_resource_must_be_named(value: Any) -> None:
    with pytest.raises(ValueError, match="id"):
        read.resource(value, "id")


def test_whatever_lets_one_in_is_cut_out_of_what_is_kept_whole() -> None:
    told = {"name": "vpn", "psk": "x", "auth": [{"X-Auth-Token": "x", "path": "/"}], "admin_password": "x"}

    assert read.without_secrets(told) == {"name": "vpn", "auth": [{"path": "/"}]}


@given(st.none() | st.text() | st.integers() | st.floats() | st.booleans() | st.lists(st.integers()))
def test_any_value_is_a_number_or_none_or_an_error(value: Any) -> None:
    try:
        number = read.number(value, "size")
    except ValueError:
        return
    assert number is None or abs(number) < float("inf")
