"""Requests as clients of the original send them, letter by letter, with the status and the words that they expect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api import asking
from tests.factories import reading, store

pytestmark = pytest.mark.django_db

JSON = "application/json"
BOTH = (
    "q.field=resource_id&q.field=timestamp&q.op=eq&q.op=gt&q.type=&q.type="
    "&q.value=web-1&q.value=2013-01-01T00%3A00%3A00"
)
FUNCTIONS = "aggregate.func=cardinality&aggregate.param=resource_id&aggregate.func=max&aggregate.func=max"


@pytest.fixture(autouse=True)
def _ledger() -> None:
    store(reading(1, 0), reading(3, 60))
    store(reading(5, 60, resource="web-2", meter="meter.accenté"))


def send(method: str, path: str, body: Any = None, kind: str = JSON, **headers: str) -> Any:
    asker = asking.admin()
    text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
    return asker.client.generic(method, path, text, content_type=kind, headers={**asker.headers, **headers})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v2/meters?limit=3&unique=True", ["cpu", "meter.accenté"]),
        ("/v2/meters?q.field=resource&q.op=&q.type=&q.value=web-1", ["cpu"]),
        (f"/v2/meters/cpu?{BOTH}&limit=5", ["cpu", "cpu"]),
        ("/v2/meters/meter.accent%C3%A9", ["meter.accenté"]),
        ("/v2/meters/meter.accent%C3%A9/?limit=1", ["meter.accenté"]),
        (f"/v2/samples?{BOTH}", ["cpu", "cpu"]),
        ("/v2/samples?q.field=meter&q.op=eq&q.type=string&q.value=cpu&limit=1", ["cpu"]),
    ],
)
def test_listings_are_asked_for_as_the_client_does(path: str, found: list[str]) -> None:
    rows = asking.admin().ask(path)
    assert [row.get("counter_name") or row.get("meter") or row["name"] for row in rows] == found


def test_statistics_are_asked_for_as_the_client_does() -> None:
    rows = asking.admin().ask(f"/v2/meters/cpu/statistics?{BOTH}&period=60&groupby=resource_id&{FUNCTIONS}")
    assert [(row["groupby"], row["period"], row["aggregate"], row["max"]) for row in rows] == [
        ({"resource_id": "web-1"}, 60, {"cardinality/resource_id": 1.0, "max": 1.0}, 1.0),
        ({"resource_id": "web-1"}, 60, {"cardinality/resource_id": 1.0, "max": 3.0}, 3.0),
    ]
    assert "min" not in rows[0]
    assert asking.admin().ask("/v2/meters/none/statistics") == []


def test_resources_are_asked_for_as_the_client_does() -> None:
    for links, number in (("0", 1), ("1", 2)):
        [resource] = asking.admin().ask(f"/v2/resources?{BOTH.replace('resource_id', 'resource')}&meter_links={links}")
        assert len(resource["links"]) == number


def test_every_listing_takes_its_query_as_a_body_too() -> None:
    clause = {"field": "resource_id", "op": "eq", "value": "web-1", "type": ""}
    for path in ("/v2/meters", "/v2/meters/cpu", "/v2/samples", "/v2/resources", "/v2/meters/cpu/statistics"):
        response = send("GET", path, {"q": [clause]})
        assert response.status_code == 200, path
        assert response.json(), path
        assert send("GET", path, {"q": [{**clause, "value": "none"}]}).json() == [], path
        assert send("GET", path, [clause]).status_code == 400, path
        assert send("GET", path, "q", "text/plain").status_code == 415, path


METHODS = {
    "/": "GET",
    "/v2/meters": "GET",
    "/v2/meters/cpu": "GET, POST",
    "/v2/meters/cpu/statistics": "GET",
    "/v2/samples": "GET",
    "/v2/samples/x": "GET",
    "/v2/samples/x/verification": "GET",
    "/v2/resources": "GET",
    "/v2/resources/x": "GET",
    "/v2/events": "GET",
    "/v2/events/x": "GET",
    "/v2/event_types": "GET",
    "/v2/event_types/x/traits": "GET",
    "/v2/event_types/x/traits/y": "GET",
    "/v2/capabilities": "GET",
    "/v2/query/samples": "POST",
    "/v1/meters": "GET",
}


def test_a_route_says_which_methods_it_has() -> None:
    for path, allowed in METHODS.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(allowed.split(", ")):
            response = send(method, path, [])
            assert asking.refusal(response) == (405, f'Method "{method}" not allowed.'), (method, path)
            assert response["Allow"] == allowed


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v2/meters?limit=1&limit=1", 400, "Invalid input for field/attribute limit."),
        ("/v2/meters?unique=1&unique=1", 400, "Invalid input for field/attribute unique."),
        ("/v2/meters/cpu/statistics?period=1&period=1", 400, "Invalid input for field/attribute period."),
        (
            "/v2/meters/cpu/statistics?period=x",
            400,
            "Invalid input for field/attribute period. Value: 'x'. unable to conv",
        ),
        ("/v2/meters/cpu/statistics?limit=1", 400, 'Unknown argument: "limit"'),
        (
            "/v2/resources?meter_links=x",
            400,
            "Invalid input for field/attribute meter_links. Value: 'x'. unable to conv",
        ),
        ("/v2/resources?meter_links=1&meter_links=1", 400, "Invalid input for field/attribute meter_links."),
        ("/v2/resources/web-1?limit=1", 400, 'Unknown argument: "limit"'),
        ("/v2/events?q.field=event_type&q.op=ne&q.value=x", 400, "Invalid input for field/attribute op. Value: 'ne'."),
        (
            "/v2/events?q.field=x&q.value=x&q.type=boolean",
            400,
            "The data type boolean is not supported. The supported data type list is: "
            "['integer', 'float', 'string', 'datetime']",
        ),
        ("/v2/event_types?limit=1", 400, 'Unknown argument: "limit"'),
        ("/v2/event_types/x", 404, ""),
        ("/v2/nothing", 404, ""),
        ("/v2/alarms", 410, "Alarms are not served here"),
    ],
)
def test_a_refusal_has_the_original_s_status_and_words(path: str, status: int, text: str) -> None:
    got, said = asking.admin().refusal(path)
    assert (got, said[: len(text)]) == (status, text)


def test_moments_have_no_zone_and_microseconds_only_where_there_are_any() -> None:
    store(reading(7, 120.25, resource="web-9"))
    [first] = asking.admin().ask("/v2/samples?limit=1")
    assert first["timestamp"] == "2026-11-23T12:02:00.250000"
    assert asking.admin().ask("/v2/samples?q.field=resource&q.value=web-2")[0]["timestamp"] == "2026-11-23T12:01:00"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("application/json;q=0.1, application/xml;q=0.9", 200),
        ("text/plain", 406),
        ("image/png, */*;q=0.1", 200),
        ("application/json;q=0", 406),
    ],
)
def test_what_is_acceptable(accept: str, status: int) -> None:
    for path in ("/", "/v2/meters", "/v2/capabilities"):
        assert send("GET", path, Accept=accept).status_code == status, path
