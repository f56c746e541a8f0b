"""What a trait's plugin makes of the values it is given, and which parameters it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from collector.events.plugins import plugin

BITS = {"flags": [{"path": "a", "bit": 0}, {"path": "b", "bit": 2, "value": "on"}, {"path": "c", "bit": 3, "value": 1}]}
SIZES = {"values": {"small": 1, "True": 2, "7": 3}, "default": 9}


@pytest.mark.parametrize(
    ("name", "parameters", "found", "value"),
    [
        ("split", {}, ["compute.host.domain"], "compute"),
        ("split", {"segment": 1}, ["compute.host.domain"], "host"),
        ("split", {"segment": 1, "max_split": 1}, ["compute.host.domain"], "host.domain"),
        ("split", {"separator": ":", "segment": -1}, ["a:b:c"], "c"),
        ("split", {"segment": 5}, ["a.b"], None),
        ("split", {"segment": -3}, ["a.b"], None),
        ("split", {}, [17], "17"),
        ("split", {}, [], None),
        ("timedelta", {}, ["2026-01-01T00:00:00", "2026-01-01 00:01:30.5"], 90.5),
        ("timedelta", {}, ["2026-01-01T00:01:00Z", "2026-01-01T01:00:00+01:00"], 60.0),
        ("timedelta", {}, ["2026-01-01T00:00:00"], None),
        ("timedelta", {}, ["2026-01-01T00:00:00", "yesterday"], None),
        ("timedelta", {}, [1, 2], None),
        ("map", SIZES, ["small"], 1),
        ("map", SIZES, ["Small"], 9),
        ("map", {**SIZES, "case_sensitive": False}, ["SMALL"], 1),
        ("map", SIZES, [True], 2),
        ("map", SIZES, [7], 3),
        ("map", {"values": {"x": 1}}, ["y"], None),
        ("map", SIZES, [["no", "key"]], 9),
        ("map", SIZES, [], None),
    ],
)
def test_a_plugin_makes_one_value(name: str, parameters: dict[str, Any], found: list[Any], value: Any) -> None:
    assert plugin(name, parameters)([("a", item) for item in found]) == value


@pytest.mark.parametrize(
    ("found", "bits"),
    [
        ({}, 0),
        ({"a": "anything"}, 1),
        ({"a": 0, "b": "on"}, 5),
        ({"b": "off"}, 0),
        ({"c": 1}, 8),
        ({"d": 1}, 0),
    ],
)
def test_a_bitfield_has_a_bit_for_each_field_that_is_as_told(found: dict[str, Any], bits: int) -> None:
    assert plugin("bitfield", BITS)(list(found.items())) == bits
    assert plugin("bitfield", {**BITS, "initial_bitfield": 64})(list(found.items())) == bits | 64


@pytest.mark.parametrize(
    ("name", "parameters", "fault"),
    [
        ("sum", {}, "there is no plugin 'sum'"),
        ("split", {"separator": ""}, "separator must be a text"),
        ("split", {"segment": 1.5}, "segment must be a whole number"),
        ("split", {"max_split": True}, "max_split must be a whole number"),
        ("split", {"part": 1}, "unknown parameter 'part'"),
        ("timedelta", {"unit": "s"}, "unknown parameter 'unit'"),
        ("map", {}, "values must be a mapping"),
        ("map", {"values": [1]}, "values must be a mapping"),
        ("map", {"values": {"a": 1}, "case_sensitive": "no"}, "case_sensitive must be true or false"),
        ("bitfield", {}, "flags must be a list"),
        ("bitfield", {"flags": [7]}, "a flag must have a path"),
        ("bitfield", {"flags": [{"path": "a"}]}, "a flag's bit must be a whole number from 0 to 62"),
        ("bitfield", {"flags": [{"path": "a", "bit": 63}]}, "a flag's bit must be a whole number from 0 to 62"),
        ("bitfield", {"flags": [{"path": "a", "bit": 1, "values": 1}]}, "unknown parameter 'values'"),
        ("bitfield", {**BITS, "initial_bitfield": "x"}, "initial_bitfield must be a whole number"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(name: str, parameters: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        plugin(name, parameters)
