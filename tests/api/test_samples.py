from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.models import Sample
from tests.api import asking
from tests.factories import at, reading, store, store_foreign

pytestmark = pytest.mark.django_db

EXAMPLES = itertools.count()  # each example has a source of its own


def test_a_sample_is_shown_alike_alone_and_in_a_list() -> None:
    store(reading(1.5, 60, metadata={"a": {"b": True}}))
    stored = Sample.objects.get()
    message_id = str(stored.message_id)
    expected = {
        "id": message_id,
        "meter": "cpu",
        "type": "cumulative",
        "unit": "ns",
        "volume": 1.5,
        "user_id": "ruth",
        "project_id": "red",
        "resource_id": "web-1",
        "source": "openstack",
        "timestamp": "2026-11-23T12:01:00",
        "recorded_at": stored.recorded_at.replace(tzinfo=None).isoformat(),
        "metadata": {"a.b": "True"},
    }
    asker = asking.admin()
    assert asker.ask("/v2/samples") == [expected]
    assert asker.ask("/v2/samples", ("message_id", message_id)) == [expected]
    assert asker.ask(f"/v2/samples/{message_id}") == expected
    assert list(asker.ask(f"/v2/samples/{message_id}")) == list(expected)


@pytest.mark.parametrize(
    "message_id", ["an id that is none", "3F2504E0-4F89-11D3-9A0C-0305E82C3301", "3f2504e04f8911d39a0c0305e82c3301"]
)
def test_a_foreign_id_that_is_no_uuid_in_its_usual_form_is_shown_and_found_as_its_text(message_id: str) -> None:
    store(reading(1))
    store_foreign(message_id, reading(7, 30))
    asker = asking.admin()
    assert asker.ask("/v2/samples")[0]["id"] == message_id
    assert asker.ask("/v2/meters/cpu")[0]["message_id"] == message_id
    assert asker.ask("/v2/samples", ("message_id", message_id))[0]["volume"] == 7
    alone = asker.ask(f"/v2/samples/{message_id}")
    assert (alone["id"], alone["volume"]) == (message_id, 7)
    assert asking.of("blue").get(f"/v2/samples/{message_id}").status_code == 404


def test_a_foreign_uuid_is_found_although_it_does_not_say_where_its_sample_is() -> None:
    message_id = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
    store_foreign(message_id, reading(7))
    assert asking.admin().ask(f"/v2/samples/{message_id}")["id"] == message_id


@pytest.mark.parametrize("message_id", ["nothing", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "f" * 32, "%F0%9F%92%A9"])
def test_a_sample_that_is_not_there_is_not_found(message_id: str) -> None:
    store(reading())
    status, text = asking.admin().refusal(f"/v2/samples/{message_id}")
    assert (status, text[:7], text[-10:]) == (404, "Sample ", " Not Found")


def test_one_sample_takes_no_parameters() -> None:
    assert asking.admin().refusal("/v2/samples/x", limit=1) == (400, 'Unknown argument: "limit"')
    assert asking.admin().refusal("/v2/samples/x", ("meter", "cpu")) == (400, 'Unknown argument: "q.field"')


def test_samples_come_newest_first() -> None:
    store(*(reading(number, number, meter=f"m{number % 3}") for number in range(10)))
    assert [row["volume"] for row in asking.admin().ask("/v2/samples", limit=4)] == [9, 8, 7, 6]


@given(
    seconds=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), min_size=1, max_size=30, unique=True),
    limit=st.integers(1, 12),
    window=st.none() | st.integers(0, 6),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_newest_are_found_whatever_their_series(
    seconds: list[tuple[int, int]], limit: int, window: int | None
) -> None:
    source = f"example {next(EXAMPLES)}"
    store(*(reading(1, second, resource=f"web-{number}") for number, second in seconds), source=source)
    clauses = (
        [("source", source)] if window is None else [("source", source), ("timestamp", at(window).isoformat(), "ge")]
    )
    rows = asking.admin().ask("/v2/samples", *clauses, limit=limit)
    of_source = Sample.objects.filter(series__source=source, ts__gte=at(window or 0)).newest_first()
    assert [row["id"] for row in rows] == [str(sample.message_id) for sample in of_source][:limit]
    expected = sorted((second for _, second in seconds if second >= (window or 0)), reverse=True)[:limit]
    assert [row["timestamp"] for row in rows] == [at(second).replace(tzinfo=None).isoformat() for second in expected]


def test_metadata_that_unicode_cannot_hold_is_shown_escaped() -> None:
    store(reading(metadata={"half": "\ud83d", "nul": "\x00", "list": ["\ud83d", 1, None]}))
    response = asking.admin().get("/v2/samples")
    assert b"\\ud83d" in response.content
    assert json.loads(response.content)[0]["metadata"]["half"] == "\ud83d"
    page = asking.admin().get("/v2/samples", headers={"Accept": "text/html"})
    assert page.status_code == 200


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        ({}, {}),
        ({"a": {}}, {}),
        (
            {"a": 1, "b": 0.47, "c": True, "d": None, "e": "text"},
            {"a": "1", "b": "0.47", "c": "True", "d": "None", "e": "text"},
        ),
        ({"a": {"b": {"c": {"d": 1}}}}, {"a.b:c:d": "1"}),
        ({"a.b": {"c.d": 1}}, {"a.b:c:d": "1"}),
        ({"a.b.c": 1}, {"a.b:c": "1"}),
        ({"a:b": 1}, {"a.b": "1"}),
        ({"l": ["x", 1, {"k": None}]}, {"l": "['x', 1, {'k': None}]"}),
        ({"big": 10**40, "small": 1e-7, "é": "ü"}, {"big": str(10**40), "small": "1e-07", "é": "ü"}),
    ],
)
def test_metadata_is_flattened_as_the_original_did(metadata: dict[str, object], shown: dict[str, str]) -> None:
    store(reading(metadata=metadata))
    assert asking.admin().ask("/v2/samples")[0]["metadata"] == shown
