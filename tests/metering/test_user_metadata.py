from __future__ import annotations

from typing import Any

import pytest

from metering.user_metadata import UserMetadata


def test_keys_with_the_prefix_are_kept_without_it_and_any_others_dropped() -> None:
    tags = {"metering.stack": "s-1", "metering.a.b.c": "x", "mine": "y", "unmetering.z": "z"}

    assert UserMetadata().of(tags, {}) == {"stack": "s-1", "a_b_c": "x"}


def test_what_the_metadata_says_already_is_not_said_again() -> None:
    assert UserMetadata().of({"metering.name": "mine", "metering.x": "1"}, {"name": "web"}) == {"x": "1"}


def test_long_texts_are_cut_and_other_values_left() -> None:
    assert UserMetadata().of({"metering.long": "x" * 300, "metering.n": 7}, {}) == {"long": "x" * 256, "n": 7}


def test_named_keys_are_kept_whole() -> None:
    rules = UserMetadata(prefixes=("billing.", "metering."), keys=("cost.centre",))

    assert rules.of({"cost.centre": "42", "cost.center": "43", "billing.a": 1, "metering.b": 2}, {}) == {
        "cost_centre": "42",
        "a": 1,
        "b": 2,
    }


@pytest.mark.parametrize("odd", [None, [], [{"key": "metering.a"}], "metering.a", {7: "x"}, {"metering.": "nameless"}])
def test_what_is_no_mapping_of_named_values_says_nothing(odd: Any) -> None:
    assert UserMetadata().of(odd, {}) == {}
