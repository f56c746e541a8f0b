"""Bodies that nobody in his right mind would send: each is answered, and none with a fault of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.complex_schema import COLUMNS
from api.posting import FIELDS
from metering.store import keys, partitions
from tests.api import asking
from tests.factories import reading, store

pytestmark = pytest.mark.django_db

MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["", "web-1", "cpu", "2026-11-23", "0001-01-01", "9999-12-31T23:59:59", "' OR 1=1 --", "%s", "{}", "\\", '"']
    ),
    st.sampled_from(["(", "[a", "a{1,9999}", "(a+)+$", "\\1", "(?i)x", "*", "$.a ? (@ > 1)", "nan", "-inf", "1e400"]),
)
NUMBERS = st.one_of(st.integers(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
NAMES = st.one_of(
    st.sampled_from(sorted(COLUMNS)), st.builds("metadata.{}".format, TEXTS), st.sampled_from(["metadata.a.b", "x"])
)
OPERATORS = st.sampled_from(["=", "!=", "<", ">", "<=", "=<", ">=", "=>", "=~", "in", "IN", "like"])
LEAVES = st.builds(
    lambda op, name, value, values: {op: {name: values if op.lower() == "in" else value}},
    OPERATORS, NAMES, SCALARS, st.lists(SCALARS, max_size=3),
)  # fmt: skip
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda word, parts: {word: parts}, st.sampled_from(["and", "or", "Or"]), st.lists(inner, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)


def answered(path: str, body: Any) -> int:
    """The status; what the request did to the database is undone, as a statement that it refused ends a transaction."""
    text = json.dumps(body)
    with transaction.atomic():
        asker = asking.of("red")
        response = asker.client.post(path, text, content_type="application/json", headers=asker.headers)
        transaction.set_rollback(True)
    keys.forget()
    partitions.forget()
    assert response.status_code < 500 or response.status_code == 501, (text, response.content)
    if response.status_code >= 400:
        asking.refusal(response)
    return response.status_code


@MANY
@given(
    filter_=FILTERS | ANYTHING, order=st.lists(st.dictionaries(NAMES, TEXTS | st.just("asc"), max_size=2)) | ANYTHING
)
def test_a_filter(filter_: Any, order: Any) -> None:
    if not known():
        store(reading(metadata={"a": {"b": 1}, "x": "y"}), reading(2, 60, metadata={"x": 5}))
    answered("/v2/query/samples", {"filter": json.dumps(filter_)})
    answered("/v2/query/samples", {"orderby": json.dumps(order)})
    answered("/v2/query/samples", {"filter": filter_, "orderby": order, "limit": order})


def known() -> bool:
    return bool(asking.admin().ask("/v2/samples", limit=1))


SAMPLE: dict[str, Any] = {
    "counter_name": "apples", "counter_type": "gauge", "counter_unit": "u", "counter_volume": 1, "resource_id": "r",
}  # fmt: skip


@MANY
@given(
    changed=st.dictionaries(st.sampled_from(sorted(FIELDS)) | TEXTS, ANYTHING, max_size=3),
    metadata=st.dictionaries(st.one_of(TEXTS, st.just("a.b"), st.just("a")), ANYTHING, max_size=4),
)
def test_a_sample(changed: Any, metadata: Any) -> None:
    answered("/v2/meters/apples?direct=1", [{**SAMPLE, **changed}])
    answered("/v2/meters/apples?direct=1", [{**SAMPLE, "resource_metadata": metadata}])
    answered("/v2/meters/apples?direct=1", changed)
