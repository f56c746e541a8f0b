"""A path finds what JSONPath says it finds, whichever way it goes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpath_ng.ext.parser import parse

from collector.paths import BadPath, accessor, plain_steps

DOCUMENT: dict[str, Any] = {
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
    assert accessor(path)(DOCUMENT) == found


@pytest.mark.parametrize("path", ["payload.size", "$.a.b-c", "a[0][12].b", "a.'b.c'.d", "_context_tenant"])
def test_a_plain_path_needs_no_library(path: str) -> None:
    assert plain_steps(path)


@pytest.mark.parametrize(
    "path", ["$", "a.*", "a[*]", "a..b", "a[?(@.b = 1)]", "a[-1]", "a|b", "a + b", "a.`len`", "a b"]
)
def test_any_other_path_is_left_to_the_library(path: str) -> None:
    assert plain_steps(path) is None


@pytest.mark.parametrize("path", ["", "a b", "payload..", "payload[", "a[?", "x" * 1_001])
def test_a_text_that_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(BadPath):
        accessor(path)


names = st.sampled_from(["a", "b", "c-d", "e.f"])
documents = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)
steps = st.lists(names.map(lambda name: f".'{name}'") | st.integers(0, 3).map(lambda place: f"[{place}]"), max_size=4)


@given(documents, steps)
def test_the_walk_finds_what_the_library_finds(document: Any, further: list[str]) -> None:
    path = "'a'" + "".join(further)

    assert plain_steps(path)
    assert accessor(path)(document) == [match.value for match in parse(path).find(document)]
