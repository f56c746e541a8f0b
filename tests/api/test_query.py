from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api import asking
from tests.api.asking import Asker
from tests.factories import reading, store

pytestmark = pytest.mark.django_db


def volumes(asker: Asker, *q: tuple[str, ...], path: str = "/v2/samples", **params: Any) -> list[float]:
    return sorted(row["volume"] for row in asker.ask(path, *q, **params))


@pytest.mark.parametrize(
    ("clauses", "found"),
    [
        ([("timestamp", "2026-11-23T12:01:00", "ge")], [1, 2]),
        ([("timestamp", "2026-11-23T12:01:00", "gt")], [2]),
        ([("timestamp", "2026-11-23T12:01:00", "le")], [0, 1]),
        ([("timestamp", "2026-11-23T12:01:00", "lt")], [0]),
        ([("timestamp", "2026-11-23 12:01", "ge")], [1, 2]),
        ([("timestamp", "2026-11-23T12:01:00Z", "ge")], [1, 2]),
        ([("timestamp", "2026-11-23T14:01:00+02:00", "ge")], [1, 2]),
        ([("timestamp", "2026-11-23", "ge"), ("timestamp", "2026-11-24", "lt")], [0, 1, 2]),
        ([("timestamp", "2026-11-23T12:02:00", "ge"), ("search_offset", "1")], [1, 2]),
        ([("timestamp", "2026-11-23T12:02:00", "ge"), ("timestamp", "2026-11-23T12:01:00", "ge")], [1, 2]),
        ([("search_offset", "1"), ("timestamp", "2026-11-23T12:00:00", "le")], [0, 1]),
    ],
)
def test_time_bounds(clauses: list[tuple[str, ...]], found: list[float]) -> None:
    store(*(reading(number, 60 * number) for number in range(3)))
    assert volumes(asking.admin(), *clauses) == found


@pytest.mark.parametrize(
    ("clauses", "found"),
    [
        ([("user", "sam")], [2]),
        ([("user_id", "sam")], [2]),
        ([("user", "None")], [3]),
        ([("project", "None")], [3]),
        ([("project_id", "blue")], [2]),
        ([("resource", "web-2")], [2]),
        ([("source", "openstack")], [1, 2, 3]),
        ([("meter", "vcpus")], [2]),
        ([("user", "sam"), ("user", "ruth")], [1]),
        ([("user", "sam", ""), ("meter", "cpu", "")], []),
        ([("message_id", "nothing of ours")], []),
    ],
)
def test_fields(clauses: list[tuple[str, ...]], found: list[float]) -> None:
    store(reading(1), reading(2, user="sam", project="blue", resource="web-2", meter="vcpus"))
    store(reading(3, user=None, project=None, resource="web-3"))
    assert volumes(asking.admin(), *clauses) == found


METADATA: list[dict[str, Any]] = [
    {"n": 0},
    {"n": "0"},
    {"n": False},
    {"n": 0.47},
    {"n": "0.47"},
    {"n": None},
    {"n": "True"},
    {"n": True},
    {"a": {"b.c": 5}},
    {"a.b": {"c": 5}},
    {"a": {"b": {"c": "5"}}},
    {"when": "2026-11-23T12:00:00"},
]


@pytest.mark.parametrize(
    ("clause", "found"),
    [
        (("metadata.n", "0"), [0]),
        (("metadata.n", "0", "eq", "integer"), [0]),
        (("metadata.n", "0", "eq", "float"), [0]),
        (("metadata.n", "0", "eq", "string"), [1]),
        (("metadata.n", "'0'"), [1]),
        (("metadata.n", "no", "eq", "boolean"), [2]),
        (("metadata.n", "False"), [2]),
        (("metadata.n", "0.47"), [3]),
        (("metadata.n", ".47"), [3]),
        (("metadata.n", "47e-2", "eq", "float"), [3]),
        (("metadata.n", "0.47", "eq", "string"), [4]),
        (("metadata.n", "None"), [5]),
        (("metadata.n", "True"), [7]),
        (("metadata.n", "true"), []),
        (("metadata.n", "TRUE", "eq", "boolean"), [7]),
        (("metadata.a.b.c", "5"), [8, 9]),
        (("resource_metadata.a.b.c", "5", "eq", "string"), [10]),
        (("metadata.when", "2026-11-23T12:00:00", "eq", "datetime"), [11]),
        (("metadata.when", "2026-11-23T13:00:00+01:00", "eq", "datetime"), [11]),
        (("metadata.nothing", "None"), []),
        (("metadata.n", "1e999"), []),
        (("metadata.n", "9" * 300), []),
        (("metadata.n", "[0]"), []),
        (("metadata.", "0"), []),
        (("metadata.n'; DROP TABLE sample --", "' OR 1=1 --"), []),
        (("metadata.%s{0}", "%s"), []),
    ],
)
def test_metadata_is_compared_by_type(clause: tuple[str, ...], found: list[float]) -> None:
    store(*(reading(number, metadata=metadata) for number, metadata in enumerate(METADATA)))
    assert volumes(asking.admin(), clause) == found


def test_several_metadata_fields_must_all_hold_and_of_one_the_last_counts() -> None:
    store(reading(1, metadata={"a": 1, "b": 2}), reading(2, metadata={"a": 1}))
    assert volumes(asking.admin(), ("metadata.a", "1"), ("metadata.b", "2")) == [1]
    assert volumes(asking.admin(), ("metadata.a", "7"), ("metadata.a", "1")) == [1, 2]


VALID = "['message_id', 'meter', 'project', 'resource', 'search_offset', 'source', 'timestamp', 'user']"


@pytest.mark.parametrize(
    ("clause", "text"),
    [
        *[
            (
                (field, "x"),
                f"Unknown argument: \"{field}\": unrecognized field in query: [<Query '{field}' eq 'x' None>], "
                f"valid keys: {VALID}",
            )
            for field in ("wrong", "metaquery", "limit", "start_timestamp", "end_timestamp", "metadata", "volume")
        ],
        (
            ("project_id", "red", "lt"),
            "Invalid input for field/attribute op. Value: 'lt'. unimplemented operator for project_id",
        ),
        (
            ("metadata.x", "1", "ne"),
            "Invalid input for field/attribute op. Value: 'ne'. unimplemented operator for metadata.x",
        ),
        (
            ("timestamp", "2026-11-23"),
            "Invalid input for field/attribute op. Value: 'eq'. unimplemented operator for timestamp",
        ),
        (
            ("search_offset", "1"),
            "Invalid input for field/attribute field. Value: 'search_offset'. "
            "search_offset cannot be used without timestamp",
        ),
        *[
            (
                ("timestamp", text, "ge"),
                f"Invalid input for field/attribute timestamp. Value: '{text}'. invalid timestamp format",
            )
            for text in ("yesterday", "", "2026-13-01", "0001-01-01T00:00:00+14:00", "12345678901234567890")
        ],
        (
            ("metadata.x", "1", "eq", "blob"),
            "The data type blob is not supported. The supported data type list is: "
            "['integer', 'float', 'string', 'boolean', 'datetime']",
        ),
        *[
            (
                ("metadata.x", value, "eq", kind),
                f"Unable to convert the value {value} to the expected data type {kind}.",
            )
            for value, kind in (
                ("x", "integer"),
                ("1.5", "integer"),
                ("x", "float"),
                ("nan", "float"),
                ("maybe", "boolean"),
                ("x", "datetime"),
            )
        ],
        (
            ("user", "x", "like"),
            "Invalid input for field/attribute op. Value: 'like'. Value should be one of: lt, le, eq, ne, ge, gt, in",
        ),
        (("user", "a\x00b"), "Invalid input for field/attribute q.value. Value: 'a\\x00b'. It holds a NUL"),
    ],
)
def test_a_wrong_clause_is_refused_with_the_reason(clause: tuple[str, ...], text: str) -> None:
    assert asking.admin().refusal("/v2/samples", clause) == (400, text)


@pytest.mark.parametrize("value", ["x", "1.5", "9" * 5_000, "9" * 12, "-" + "9" * 18])
def test_a_search_offset_that_is_no_number_of_minutes_is_refused(value: str) -> None:
    asker = asking.admin()
    bounds = [("timestamp", "2026-11-23", "ge"), ("timestamp", "2026-11-24", "lt")]
    status, text = asker.refusal("/v2/samples", *bounds, ("search_offset", value))
    assert (status, text.split(". ")[0]) == (400, "Invalid input for field/attribute search_offset")


def test_the_four_lists_go_together_by_place_and_short_ones_leave_the_rest_to_the_defaults() -> None:
    store(reading(1), reading(2, 60), reading(3, 60, user="sam"))
    asker = asking.admin()
    query = "q.field=timestamp&q.field=user&q.op=gt&q.value=2026-11-23T12:00:00&q.value=ruth"
    assert [row["volume"] for row in asker.ask(f"/v2/samples?{query}")] == [2]
    # As python-ceilometerclient sends it: all four, empty types.
    query = (
        "q.field=resource_id&q.field=timestamp&q.op=eq&q.op=gt&q.type=&q.type=&q.value=web-1&q.value=2026-11-23T12%3A00"
    )
    assert sorted(row["volume"] for row in asker.ask(f"/v2/samples?{query}&limit=5")) == [2, 3]
    assert asker.refusal("/v2/samples?q.field=user") == (
        400,
        "Invalid input for field/attribute value. Value: 'None'. Mandatory field missing.",
    )
    assert asker.refusal("/v2/samples?q.value=x&q.value=y&q.field=user")[0] == 400
    assert asker.refusal("/v2/samples?q.op=eq")[0] == 400


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("limit=0", "Limit must be positive"),
        ("limit=-1", "Limit must be positive"),
        ("limit=x", "Invalid input for field/attribute limit. Value: 'x'. unable to convert to int."),
        ("limit=", "Invalid input for field/attribute limit. Value: ''. unable to convert to int."),
        ("limit=1&limit=1", "Invalid input for field/attribute limit."),
        ("limit=" + "9" * 5_000, "Invalid input for field/attribute limit."),
        ("wrong=1", 'Unknown argument: "wrong"'),
        ("q=1", 'Unknown argument: "q"'),
        ("q.wrong=1", 'Unknown argument: "q.wrong"'),
        ("format=json", 'Unknown argument: "format"'),
        ("marker=%00", "Invalid input for field/attribute marker."),
        ("&".join(f"q.field=f{n}" for n in range(2_000)), "The request is refused"),
    ],
)
@pytest.mark.parametrize("path", ["/v2/samples", "/v2/meters", "/v2/meters/cpu", "/v2/resources"])
def test_a_wrong_parameter_is_refused_with_the_reason(path: str, query: str, text: str) -> None:
    status, got = asking.admin().refusal(f"{path}?{query}")
    assert (status, got[: len(text)]) == (400, text)


def with_body(body: str, content_type: str = "application/json", path: str = "/v2/samples?limit=9") -> Any:
    asker = asking.admin()
    return asker.client.generic("GET", path, body, content_type=content_type, headers=asker.headers)


def test_a_query_may_also_come_as_a_body() -> None:
    store(reading(1), reading(2, user="sam", metadata={"n": 5}))
    for clause in ({"field": "user", "value": "sam", "op": "eq", "type": None}, {"field": "metadata.n", "value": 5}):
        assert [row["volume"] for row in with_body(json.dumps({"q": [clause]})).json()] == [2]
    assert len(with_body(json.dumps({"limit": 1}), path="/v2/samples").json()) == 1


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("[]", "application/json", 400),
        ("{", "application/json", 400),
        ('{"q": {}}', "application/json", 200),
        ('{"q": {"field": "user"}}', "application/json", 400),
        ('{"q": ["user"]}', "application/json", 400),
        ('{"q": [{"field": "user"}]}', "application/json", 400),
        ('{"q": [{"field": "user", "value": "x", "wrong": 1}]}', "application/json", 400),
        ('{"q": [{"field": "user", "value": "a\\u0000b"}]}', "application/json", 400),
        ('{"q": [{"field": "user", "value": "\\ud800"}]}', "application/json", 400),
        ('{"wrong": 1}', "application/json", 400),
        ('{"limit": "x"}', "application/json", 400),
        ("[" * 100_000, "application/json", 400),
        ("q.field=user", "text/plain", 415),
        ("<q/>", "application/xml", 415),
    ],
)
def test_a_body_that_cannot_be_understood_is_refused(body: str, content_type: str, status: int) -> None:
    response = with_body(body, content_type)
    assert response.status_code == status
    if status != 200:
        asking.refusal(response)


def test_a_very_deep_metadata_key_is_refused() -> None:
    assert asking.admin().refusal("/v2/samples", ("metadata" + ".x" * 1_000, "1"))[0] == 400
    assert asking.admin().ask("/v2/samples", ("metadata" + ".x" * 30, "1")) == []


def test_several_values_of_one_field_are_alternatives() -> None:
    store(reading(1, metadata={"n": 1}), reading(2, resource="web-2", metadata={"n": "1"}))
    store(reading(3, resource="a,b", user=None, metadata={"n": 2}), reading(4, 90, meter="vcpus", project="blue"))
    asker = asking.admin()

    def among(field: str, *values: str) -> list[tuple[str, ...]]:
        return [(field, value, "in") for value in values]

    assert volumes(asker, *among("resource", "web-2", "a,b", "nothing")) == [2, 3]
    assert volumes(asker, *among("resource_id", "web-2"), *among("resource", "web-1")) == [1, 2, 4]
    assert volumes(asker, *among("user", "None", "sam")) == [3]
    assert volumes(asker, *among("metadata.n", "1", "2")) == [1, 3]
    assert volumes(asker, *among("meter", "cpu", "vcpus"), *among("project", "blue", "red"), ("user", "ruth")) == [
        1,
        2,
        4,
    ]
    recent = ("timestamp", "2026-11-23T12:01", "ge")
    for path in ("/v2/meters", "/v2/resources"):
        assert len(asker.ask(path, *among("project", "red", "blue"))) == (4 if path == "/v2/meters" else 3)
    assert [row["project_id"] for row in asker.ask("/v2/resources", recent, *among("project", "red", "blue"))] == [
        "blue"
    ]
    [row] = asker.ask("/v2/meters/cpu/statistics", *among("resource", "web-1", "web-2"))
    assert row["sum"] == 3
    own = asking.of("red")
    assert volumes(own, *among("project", "red")) == [1, 2, 3]
    assert own.refusal("/v2/samples", *among("project", "red", "blue")) == (
        401,
        "Not Authorized to access project blue",
    )


@pytest.mark.parametrize(
    ("path", "clauses"),
    [
        ("/v2/samples", [("resource", "a", "in"), ("resource_id", "b")]),
        ("/v2/samples", [("timestamp", "2026-11-23", "in")]),
        ("/v2/samples", [("message_id", "x", "in")]),
        ("/v2/meters", [("unique", "True", "in")]),
        ("/v2/events", [("event_type", "x", "in")]),
        ("/v2/events", [("some_trait", "x", "in")]),
    ],
)
def test_where_alternatives_are_not_known_they_are_refused(path: str, clauses: list[tuple[str, ...]]) -> None:
    status, text = asking.admin().refusal(path, *clauses)
    assert (status, text.split(". ")[:2]) == (400, ["Invalid input for field/attribute op", "Value: 'in'"])


def test_very_many_alternatives_are_refused() -> None:
    clauses = [{"field": "metadata.a.b.c.d.e.f", "value": str(number), "op": "in"} for number in range(51)]
    assert with_body(json.dumps({"q": clauses[1:]})).status_code == 200
    assert with_body(json.dumps({"q": clauses})).status_code == 400
    clauses = [{"field": "resource", "value": str(number), "op": "in"} for number in range(1_001)]
    assert with_body(json.dumps({"q": clauses[1:]})).status_code == 200
    assert with_body(json.dumps({"q": clauses})).status_code == 400


def test_hostile_values_find_nothing() -> None:
    store(reading())
    for value in ("' OR '1'='1", "%", "_", "\\", "{}", "${jndi:x}", "web-1\n", "\ud7ff\ue000😀", "x" * 20_000):
        assert asking.admin().ask("/v2/samples", ("resource", value)) == []
