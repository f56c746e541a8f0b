"""Complex queries: the original's grammar, SQL's nulls, and nothing that a filter could break."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.models import Sample
from tests.api import asking
from tests.api.asking import Asker
from tests.factories import reading, store, store_foreign

pytestmark = pytest.mark.django_db

PATH = "/v2/query/samples"


def send(asker: Asker, body: Any, path: str = PATH) -> Any:
    return asker.client.post(path, json.dumps(body), content_type="application/json", headers=asker.headers)


def ask(asker: Asker, filter_: Any = None, orderby: Any = None, limit: Any = None) -> list[dict[str, Any]]:
    """The rows of a query that must succeed."""
    parts = {"filter": filter_, "orderby": orderby}
    body = {name: json.dumps(value) for name, value in parts.items() if value is not None}
    response = send(asker, body if limit is None else {**body, "limit": limit})
    assert response.status_code == 200, response.content
    rows: list[dict[str, Any]] = response.json()
    return rows


def found(filter_: Any, **told: Any) -> list[float]:
    return sorted(row["volume"] for row in ask(asking.admin(), filter_, **told))


def refused(asker: Asker, **body: Any) -> tuple[int, str]:
    return asking.refusal(send(asker, body))


@pytest.fixture
def ledger() -> None:
    store(
        reading(1, 0, metadata={"n": 5, "name": "web", "on": True}),
        reading(2, 60, metadata={"n": "5", "name": "db", "a": {"b.c": 1}}, user=None),
        reading(3, 120, meter="vcpus", unit="vcpu", resource="web-2", project="blue", metadata={"n": 7, "on": False}),
    )
    store(reading(4, 180, resource="vol-1", metadata={"n": None, "tags": ["web"]}), source="other")
    store_foreign("an id of old", reading(5, 240, meter="image", metadata={}))


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("filter_", "volumes"),
    [
        ({"=": {"counter_name": "vcpus"}}, [3]),
        ({"=": {"meter": "vcpus"}}, [3]),
        ({"!=": {"meter": "cpu"}}, [3, 5]),
        ({"=": {"counter_unit": "vcpu"}}, [3]),
        ({"=": {"type": "cumulative"}}, [1, 2, 3, 4, 5]),
        ({"=": {"source": "other"}}, [4]),
        ({"=": {"user": "ruth"}}, [1, 3, 4, 5]),
        ({"!=": {"user_id": "ruth"}}, []),
        ({"not": {"=": {"user_id": "ruth"}}}, []),  # a null is neither
        ({"or": [{"!=": {"user_id": "ruth"}}, {"=": {"volume": 2}}]}, [2]),
        ({"=": {"project": "blue"}}, [3]),
        ({"<": {"resource_id": "web-1"}}, [4]),
        ({"in": {"resource": ["web-2", "vol-1"]}}, [3, 4]),
        ({"IN": {"counter_volume": [1, "4"]}}, [1, 4]),
        ({"not": {"in": {"resource_id": ["web-1", "web-2"]}}}, [4]),
        ({"=": {"counter_volume": 1}}, [1]),
        ({">": {"counter_volume": "2.5"}}, [3, 4, 5]),
        ({"=<": {"volume": 2}}, [1, 2]),
        ({"<=": {"volume": 2}}, [1, 2]),
        ({"=>": {"volume": 4}}, [4, 5]),
        ({"not": {">=": {"volume": 2}}}, [1]),
        ({"=": {"timestamp": "2026-11-23T12:01:00"}}, [2]),
        ({">": {"timestamp": "2026-11-23T13:02:00+01:00"}}, [4, 5]),
        ({"and": [{">=": {"timestamp": "2026-11-23T12:01"}}, {"<": {"timestamp": "2026-11-23 12:03"}}]}, [2, 3]),
        ({"and": [{">": {"timestamp": "2026-11-23"}}, {">": {"timestamp": "2026-11-23T12:02"}}]}, [4, 5]),
        ({">": {"recorded_at": "2026-01-01"}}, [1, 2, 3, 4, 5]),
        ({"in": {"timestamp": ["2026-11-23T12:00:00Z"]}}, [1]),
        ({"AND": [{"=": {"meter": "cpu"}}, {"Or": [{"=": {"volume": 1}}, {"=": {"volume": 3}}]}]}, [1]),
        ({"not": {"and": [{"=": {"meter": "cpu"}}, {"NOT": {"=": {"volume": 1}}}]}}, [1, 3, 5]),
        ({"=~": {"resource_id": "^web-[0-9]$"}}, [1, 2, 3, 5]),
        ({"not": {"=~": {"resource_id": "^web"}}}, [4]),
        ({"=~": {"resource_metadata": '"name":"d'}}, [2]),
        ({"=": {"metadata.n": 5}}, [1]),
        ({"=": {"metadata.n": "5"}}, [2]),
        ({"!=": {"metadata.n": 5}}, [3]),
        ({"not": {"=": {"metadata.n": 5}}}, [3]),
        ({">": {"metadata.n": 5}}, [3]),
        ({"<=": {"metadata.n": 5.5}}, [1]),
        ({"not": {"<=": {"metadata.n": 5.5}}}, [3]),
        ({"<": {"metadata.name": "e"}}, [2]),
        ({"=": {"metadata.on": True}}, [1]),
        ({"!=": {"metadata.on": True}}, [3]),
        ({"=": {"metadata.a.b.c": 1}}, [2]),
        ({">": {"metadata.a.b.c": 0}}, [2]),
        ({"=~": {"metadata.name": "^(web|x)$"}}, [1]),
        ({"not": {"=~": {"metadata.name": "web"}}}, [2]),
        ({"=": {"metadata.tags": "web"}}, []),
        ({"!=": {"metadata.tags": "db"}}, []),
        ({"=": {"metadata.absent": 1}}, []),
        ({"!=": {"metadata.absent": 1}}, []),
        ({"or": [{"=": {"metadata.absent": 1}}, {"=": {"metadata.n": 7}}]}, [3]),
        ({"=": {"metadata.n'OR(1=1)--": "%s{}"}}, []),
        ({">": {'metadata."\\u0022)': 1}}, []),
        ({"=": {"message_id": "an id of old"}}, [5]),
        ({"in": {"message_id": ["an id of old", "none"]}}, [5]),
        ({"or": [{"=": {"message_id": "an id of old"}}, {"=": {"volume": 1}}]}, [1, 5]),
        ({"=": {"message_signature": "none"}}, []),
    ],
)
def test_a_filter_finds(filter_: Any, volumes: list[float]) -> None:
    assert found(filter_) == volumes


@pytest.mark.usefixtures("ledger")
def test_a_sample_is_found_by_its_id_and_its_signature() -> None:
    sample = Sample.objects.filter(volume=3).get()
    for given in (sample.message_id, f"{sample.message_id}"):
        assert found({"=": {"message_id": str(given)}}) == [3]
        assert found({"and": [{"=": {"message_id": str(given)}}, {"=": {"volume": 3}}]}) == [3]
    assert found({"!=": {"message_id": str(sample.message_id)}}) == [1, 2, 4, 5]
    signature = f"n1:k1:{bytes(sample.signature).hex()}"
    assert found({"=": {"message_signature": signature}}) == [3]
    assert found({"in": {"message_signature": [signature]}}) == [3]


@pytest.mark.usefixtures("ledger")
def test_samples_come_in_the_order_asked_for_else_newest_first() -> None:
    def volumes(*order: dict[str, str], **told: Any) -> list[float]:
        return [row["volume"] for row in ask(asking.admin(), orderby=list(order) or None, **told)]

    assert volumes() == [5, 4, 3, 2, 1]
    assert volumes(limit=2) == [5, 4]
    assert volumes({"timestamp": "ASC"}, limit="3") == [1, 2, 3]
    assert volumes({"counter_name": "desc"}, {"counter_volume": "asc"}) == [3, 5, 1, 2, 4]
    assert volumes({"project": "asc"}, {"timestamp": "desc"}) == [3, 5, 4, 2, 1]
    assert volumes({"resource_metadata": "desc"}, {"message_signature": "Desc"}, {"message_id": "asc"})
    assert ask(asking.admin(), {"=": {"meter": "vcpus"}})[0]["id"]


@pytest.mark.usefixtures("ledger")
def test_a_query_sees_the_callers_project_only() -> None:
    blue = asking.of("blue")
    assert [row["volume"] for row in ask(blue)] == [3]
    assert [row["volume"] for row in ask(blue, {"or": [{"=": {"project": "blue"}}, {">": {"volume": 0}}]})] == [3]
    assert ask(blue, {"in": {"project_id": ["blue"]}})
    for filter_ in (
        {"=": {"project_id": "red"}},
        {"!=": {"project": "red"}},
        {"not": {"=": {"project": "red"}}},
        {"or": [{"=": {"volume": 1}}, {"and": [{"in": {"project": ["blue", "red"]}}, {"=": {"volume": 1}}]}]},
        {"=~": {"project": "red"}},
    ):
        assert refused(blue, filter=json.dumps(filter_)) == (401, "Not Authorized to access project red")
    assert refused(asking.nobody(), filter="{}")[0] == 401


LEAF = {"=": {"meter": "cpu"}}
NOT_ANY = "is not valid under any of the given schemas"


@pytest.mark.parametrize(
    ("filter_", "text"),
    [
        ({}, NOT_ANY),
        ([], NOT_ANY),
        ("x", NOT_ANY),
        (5, NOT_ANY),
        (None, NOT_ANY),
        ({**LEAF, "!=": {"meter": "x"}}, NOT_ANY),
        ({"=": {"meter": "cpu", "unit": "ns"}}, NOT_ANY),
        ({"=": {}}, NOT_ANY),
        ({"=": {"wrong": 1}}, NOT_ANY),
        ({"=": {"metadata.": 1}}, NOT_ANY),
        ({"=": {"metadata.a b": 1}}, NOT_ANY),
        ({"=": {"meter": None}}, NOT_ANY),
        ({"=": {"meter": ["cpu"]}}, NOT_ANY),
        ({"like": {"meter": "cpu"}}, NOT_ANY),
        ({"and": []}, NOT_ANY),
        ({"and": [LEAF]}, NOT_ANY),
        ({"and": LEAF}, NOT_ANY),
        ({"or": [LEAF, {}]}, NOT_ANY),
        ({"not": [LEAF]}, NOT_ANY),
        ({"in": {"meter": []}}, NOT_ANY),
        ({"in": {"meter": "cpu"}}, NOT_ANY),
        ({"in": {"meter": [True]}}, NOT_ANY),
        ({"or": [LEAF] * 1_001}, "more than 1000 clauses"),
        ({"or": [LEAF] * 10_000}, "more than 1000 clauses"),
        ({"in": {"meter": ["x"] * 5_000}}, "more than 1000 clauses"),
        ({"in": {"meter": [{}] * 50_000}}, "more than 1000 clauses"),
        ({"=~": {"meter": "x" * 257}}, "a regular expression is longer than 256 characters"),
        ({"=~": {"meter": "("}}, "invalid regular expression"),
        ({"=~": {"meter": "(a{1,255}){1,255}"}}, "invalid regular expression"),
        ({"=~": {"metadata.x": "("}}, "invalid regular expression"),
    ],
)
def test_a_filter_that_is_none_is_refused_in_the_validators_words(filter_: Any, text: str) -> None:
    store(reading(metadata={"x": "y"}))
    status, said = refused(asking.admin(), filter=json.dumps(filter_))
    assert (status, said[:29]) == (400, "Filter expression not valid: ")
    assert text in said
    assert len(said) < 1_000


@pytest.mark.parametrize("depth", [64, 5_000, 50_000])
def test_a_filter_that_nests_too_deep_is_refused(depth: int) -> None:
    text = '{"not":' * depth + json.dumps(LEAF) + "}" * depth
    status, said = refused(asking.admin(), filter=text)
    assert (status, said[:28]) == (400, "Filter expression not valid:")


def test_a_large_filter_is_answered() -> None:
    store(reading(), reading(2, 60))
    clauses = [{op: {"metadata.x.y": n}} for n in range(50) for op in ("=", "<")]
    assert found({"or": [*clauses, {"=": {"volume": 2}}]}) == [2]
    assert found({"or": [LEAF] * 999}) == [1, 2]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"filter": json.dumps({"=": {"timestamp": "x"}})}, "Failed to parse the timestamp value x"),
        ({"filter": json.dumps({"<": {"recorded_at": 5}})}, "Failed to parse the timestamp value 5"),
        ({"filter": json.dumps({"=": {"volume": "x"}})}, "Invalid input for field/attribute volume. Value: 'x'."),
        ({"filter": json.dumps({"=": {"volume": True}})}, "Invalid input for field/attribute volume. Value: 'True'."),
        ({"filter": json.dumps({"=": {"meter": 5}})}, "Invalid input for field/attribute meter. Value: '5'."),
        ({"filter": json.dumps({"=": {"meter": "a\x00"}})}, "Invalid input for field/attribute meter."),
        ({"filter": json.dumps({"=": {"volume": "nan"}})}, "Invalid input for field/attribute volume. Value: 'nan'."),
        ({"filter": json.dumps({"in": {"volume": ["1e999"]}})}, "Invalid input for field/attribute volume."),
        ({"filter": json.dumps({"=": {"metadata.a\x00b": 1}})}, "Invalid input for field/attribute field."),
        ({"filter": json.dumps({">": {"metadata.a\x00b": 1}})}, "Invalid input for field/attribute field."),
        ({"filter": json.dumps({"=~": {"volume": "5"}})}, "Invalid input for field/attribute op. Value: '=~'."),
        ({"filter": json.dumps({"=~": {"metadata.x": 5}})}, "Invalid input for field/attribute op. Value: '=~'."),
        ({"filter": json.dumps({"=": {"metadata" + ".x" * 40: 5}})}, "Invalid input for field/attribute field."),
        ({"filter": "{"}, "Filter expression not valid: "),
        ({"filter": ""}, "Filter expression not valid: "),
        ({"filter": '{"=": {"volume": NaN}}'}, "Filter expression not valid: "),
        ({"filter": LEAF}, "Invalid input for field/attribute filter."),
        ({"orderby": "["}, "Order-by expression not valid: "),
        ({"orderby": '{"meter": "asc"}'}, "Order-by expression not valid: "),
        ({"orderby": '[{"meter": "up"}]'}, "Order-by expression not valid: 'up' does not match '(?i)^asc$|^desc$'"),
        ({"orderby": '[{"metadata.x": "asc"}]'}, "Order-by expression not valid: "),
        ({"orderby": '[{"meter": "asc", "unit": "asc"}]'}, "Order-by expression not valid: "),
        ({"orderby": "[{}]"}, "Order-by expression not valid: "),
        ({"limit": 0}, "Limit must be positive"),
        ({"limit": 10_001}, "Invalid input for field/attribute limit. Value: '10001'. It may be 10000 at most"),
        ({"limit": "9" * 5_000}, "Invalid input for field/attribute limit."),
        ({"limit": "-1"}, "Limit must be positive"),
        ({"limit": "x"}, "Invalid input for field/attribute limit. Value: 'x'. unable to convert to int."),
        ({"limit": 1.5}, "Invalid input for field/attribute limit. Value: '1.5'. unable to convert to int."),
        ({"limit": [1]}, "Invalid input for field/attribute limit."),
        ({"wrong": 1}, 'Unknown argument: "wrong"'),
        ([], "The body of the request must be a JSON object"),
    ],
)
def test_a_wrong_query_is_refused_with_the_reason(body: Any, text: str) -> None:
    status, said = asking.refusal(send(asking.admin(), body))
    assert (status, said[: len(text)]) == (400, text)


def test_what_is_not_offered_says_so() -> None:
    text = json.dumps({"in": {"metadata.x": ["a"]}})
    assert refused(asking.admin(), filter=text) == (501, "The operator in for metadata is not supported")
    assert asking.refusal(send(asking.admin(), {}, f"{PATH}?limit=1")) == (400, 'Unknown argument: "limit"')
    response = asking.admin().get(PATH)
    assert (response.status_code, response["Allow"]) == (405, "POST")


@pytest.mark.usefixtures("ledger")
def test_an_empty_body_asks_for_everything() -> None:
    asker = asking.admin()
    for body in ("", "{}", "null", '{"filter": null, "limit": null}'):
        response = asker.client.post(PATH + "/", body, content_type="application/json", headers=asker.headers)
        assert len(response.json()) == 5, body


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("asker", [asking.admin, lambda: asking.of("red")])
def test_a_query_takes_few_statements(asker: Any) -> None:
    known = asker()
    for filter_, statements in (
        ({"=": {"meter": "cpu"}}, 3),
        ({"in": {"meter": ["cpu", "none"]}}, 3),
        ({"or": [{"=": {"meter": "cpu"}}, {">": {"metadata.n": 1}}]}, 5),  # of the day, of all, and what they refer to
    ):
        with CaptureQueriesContext(connection) as captured:
            assert ask(known, filter_)
        assert len(captured) == statements, [query["sql"] for query in captured]
