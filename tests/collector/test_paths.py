from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpath_ng.ext.parser import parse

from collector.paths import LONGEST, accessor, first, is_plain
from metering.errors import BadPath

DOCUMENT = {
    "payload": {
        "host": "h",
        "x.y": {"n": 3},
        "none": None,
        "metrics": [{"name": "a", "value": 4}, {"name": "b", "value": 0.5}],
        "objects": [{"o.data": {"name": "q", "value": 1}}],
        "id": "a#b",
        "a-1": "dashed",
    }
}
PLAIN = [
    "$",
    "$.payload.host",
    "$['payload'].host",
    "payload.host",
    "payload.metrics[0].value",
    "$.payload.a-1",
    "$.payload.metrics[0].value - 1",
    "$.payload['x.y'].n",
    "$.payload.'x.y'.n",
    "$.payload.metrics[0].value",
    "$.payload.metrics[9].value",
    "$.payload.metrics[*].name",
    "$.payload.metrics.name",
    "$.payload[0]",
    "$.payload.host[0]",
    "$.payload.metrics[?(@.name = 'b')].value",
    '$.payload.metrics[?(@.name == "b")].value',
    "$.payload.objects[?(@['o.data'].name = 'q')]['o.data'].value",
    "$.payload.metrics[?(@.name = 'b')].value * 100",
    "$.payload.metrics[*].value + $.payload.metrics[*].value",
    "'is:' + $.payload.host",
    "$.payload.host + '_' + $.payload.id",
    "$.payload.host + $.payload.metrics[0].value",
    "$.payload.host - 'x'",
]
FOREIGN = [
    "$.payload.id.`split(#, 0, 1)`",
    "$..name",
    "$.payload.metrics[-1].name",
    "$.payload.*",
    "$.payload.a-1.b[0,1]",
]


def theirs(path: str, document: Any) -> list[Any]:
    return [found.value for found in parse(path).find(document)]


@pytest.mark.parametrize("path", PLAIN)
def test_a_plain_path_means_what_jsonpath_says(path: str) -> None:
    assert is_plain(path)
    assert accessor(path)(DOCUMENT) == theirs(path, DOCUMENT)


@pytest.mark.parametrize("path", FOREIGN)
def test_any_other_path_is_read_too(path: str) -> None:
    assert not is_plain(path)
    assert accessor(path)(DOCUMENT) == theirs(path, DOCUMENT)


def test_one_value_goes_with_each_of_many() -> None:
    assert accessor("$.payload.metrics[*].value - $.payload['x.y'].n")(DOCUMENT) == [1, -2.5]


@pytest.mark.parametrize(("path", "value"), [("$.payload.host", "h"), ("$.payload.none", None), ("$.payload.no", None)])
def test_the_first_value_is_none_where_there_is_none(path: str, value: Any) -> None:
    assert first(path)(DOCUMENT) == value


def test_a_division_by_zero_and_a_text_times_a_number_give_nothing() -> None:
    assert accessor("$.a / 0")({"a": 1}) == []
    assert accessor("$.a * 100000")({"a": "x"}) == []


@pytest.mark.parametrize(
    "path", ["", "$.", "$$", "$.a[", "$.a b", "(", "$" + ".a" * LONGEST + "..b", "x" * (LONGEST + 1)]
)
def test_what_is_no_path_says_so(path: str) -> None:
    with pytest.raises(BadPath):
        accessor(path)


keys = st.sampled_from(["payload", "metrics", "name", "value", "host", "x.y"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["a", "b", "name"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(values, st.sampled_from(PLAIN[:18]))
def test_of_any_document_a_plain_path_gives_what_jsonpath_gives(document: Any, path: str) -> None:
    if path.endswith("* 100") and any(isinstance(value, str | list) for value in theirs(path[:-6], document)):
        assert accessor(path)(document) == []  # a text is never multiplied here
    else:
        assert accessor(path)(document) == theirs(path, document)


SERVER: dict[str, Any] = {
    "payload": {
        "size": 10,
        "none": None,
        "flavor": {"vcpus": 2},
        "ips": ["a", {"b": 1}],
        "nova_object.data": {"uuid": "u-1"},
        "metrics": [{"name": "in", "result": 7}, {"name": "out", "result": 9}],
    }
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("payload.size", [10]),
        ("$.payload.size", [10]),
        ("payload.none", [None]),
        ("payload.flavor.vcpus", [2]),
        ("payload.ips[0]", ["a"]),
        ("payload.ips[1].b", [1]),
        ("payload.ips[2]", []),
        ("payload.ips.b", []),
        ("payload.size.x", []),
        ("payload.size[0]", []),
        ("payload.absent.x", []),
        ("payload.'nova_object.data'.uuid", ["u-1"]),
        ('payload."nova_object.data".uuid', ["u-1"]),
        ("payload.metrics[*].result", [7, 9]),
        ("payload.metrics[?(@.name = 'out')].result", [9]),
        ("payload.metrics[?(@.name = 'none')].result", []),
        ("payload.ips[-1].b", [1]),
    ],
)
def test_a_path_finds_its_values_in_order(path: str, found: list[Any]) -> None:
    assert accessor(path)(SERVER) == found
