from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests import events
from tests.api import asking
from tests.api.asking import Asker
from tests.factories import at, reading, store, store_foreign

pytestmark = pytest.mark.django_db


def following(asker: Asker, path: str, limit: int, *q: tuple[str, ...], **params: Any) -> list[list[dict[str, Any]]]:
    """All pages, by the links from one to the next."""
    response = asker.get(path, *q, limit=limit, **params)
    pages = [response.json()]
    while link := response.get("Link"):
        address, _, rel = link.partition("; ")
        assert (address[0], address[-1], rel) == ("<", ">", 'rel="next"')
        assert address.startswith("<http://testserver/v2/")
        response = asker.client.get(address[1:-1].removeprefix("http://testserver"), headers=asker.headers)
        assert response.status_code == 200, response.content
        pages.append(response.json())
    return pages


def filled() -> None:
    """Many samples of one moment, some before and after, of two owners; one with an id of its own."""
    store(*(reading(n, 60 * (n % 3), resource=f"web-{n % 4}", meter=f"m{n}", metadata={"n": n % 2}) for n in range(20)))
    store(*(reading(n, 60, resource="db", meter=f"m{n}", project="blue") for n in range(5)))
    store_foreign("not a UUID", reading(7, 60, resource="web-0"))


@pytest.mark.parametrize("limit", [1, 4, 26, 100])
@pytest.mark.parametrize(
    ("path", "clauses", "params"),
    [
        ("/v2/samples", [], {}),
        ("/v2/samples", [("metadata.n", "1")], {}),
        ("/v2/meters/m3", [], {}),
        ("/v2/meters", [], {}),
        ("/v2/meters", [], {"unique": "True"}),
        ("/v2/resources", [], {}),
        ("/v2/resources", [("timestamp", at(1).isoformat(), "ge")], {}),
    ],
)
def test_the_pages_of_a_listing_are_all_of_it_in_its_order(
    path: str, clauses: list[tuple[str, ...]], params: dict[str, str], limit: int
) -> None:
    filled()
    for asker in (asking.admin(), asking.of("blue")):
        whole = asker.ask(path, *clauses, limit=1_000, **params)
        pages = following(asker, path, limit, *clauses, **params)
        assert [row for page in pages for row in page] == whole
        assert all(len(page) == limit for page in pages[:-1])
        assert pages[-1] or not whole  # the last is never empty


def test_the_pages_of_events_are_all_of_them() -> None:
    events.store(*(events.event(number, number // 3) for number in range(10)))
    asker = asking.admin()
    assert [row for page in following(asker, "/v2/events", 4) for row in page] == asker.ask("/v2/events")


def test_what_comes_in_between_moves_nothing() -> None:
    store(*(reading(number, 60 * number) for number in range(6)))
    asker = asking.admin()
    first = asker.get("/v2/samples", limit=3)
    store(reading(9, 400), resource_in_between := reading(8, 60 * 1 + 1))
    rest = asker.client.get(first["Link"].partition(">")[0][1:], headers=asker.headers).json()
    assert [row["volume"] for row in first.json()] == [5, 4, 3]
    assert [row["volume"] for row in rest] == [2, resource_in_between.volume, 1]


def test_pages_of_resources_hold_each_once_whichever_source_speaks_meanwhile() -> None:
    store(*(reading(1, number, resource=f"web-{number}") for number in range(4)))
    store(reading(1, 5, resource="web-0"), source="other")
    asker = asking.admin()
    first = asker.get("/v2/resources", limit=2)
    store(reading(1, 9, resource="web-0"), reading(1, 9, resource="web-3"), source="other")
    rest = asker.client.get(first["Link"].partition(">")[0][1:], headers=asker.headers).json()
    assert [row["resource_id"] for row in first.json() + rest] == ["web-0", "web-1", "web-2", "web-3"]


def text_of(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


NIL = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    "marker",
    [
        "",
        "x",
        "é",
        "x" * 10_000,
        text_of(),
        text_of(1),
        text_of("2026-11-23T12:00:00+00:00", 1),
        text_of("2026-11-23T12:00:00", 1, NIL),
        text_of("2026-11-23T12:00:00+01:00", 1, NIL),
        text_of("yesterday", 1, NIL),
        text_of("2026-11-23T12:00:00+00:00", "1", NIL),
        text_of("2026-11-23T12:00:00+00:00", 1.0, NIL),
        text_of("2026-11-23T12:00:00+00:00", 2**70, NIL),
        text_of("2026-11-23T12:00:00+00:00", 1, "no uuid"),
        text_of("2026-11-23T12:00:00+00:00", 1, None),
        base64.urlsafe_b64encode(b'{"a": 1}').decode(),
        base64.urlsafe_b64encode(b"[" * 500).decode(),
    ],
)
def test_a_marker_that_no_listing_gave_is_refused(marker: str) -> None:
    for path in ("/v2/samples", "/v2/meters/cpu"):
        status, text = asking.admin().refusal(path, marker=marker)
        assert (status, text.split(". ")[0]) == (400, "Invalid input for field/attribute marker")


@pytest.mark.parametrize("number", [0, -1, 2**62, -(2**63)])
def test_any_number_is_a_place_among_meters_and_resources(number: int) -> None:
    store(reading())
    for path in ("/v2/meters", "/v2/resources"):
        assert len(asking.admin().ask(path, marker=text_of(number))) == (number < 1)
    assert asking.admin().ask("/v2/samples", marker=text_of("0001-01-01T00:00:00+00:00", number, NIL)) == []


def test_a_marker_shows_nobody_more_than_he_may_see() -> None:
    store(*(reading(number, number) for number in range(5)))
    link = asking.admin().get("/v2/samples", limit=1)["Link"].partition(">")[0][1:]
    other = asking.of("blue")
    assert other.client.get(link, headers=other.headers).json() == []


def test_a_query_in_a_body_has_pages_too() -> None:
    store(*(reading(number, number) for number in range(3)), reading(9, 9, user="sam"))
    asker = asking.admin()
    body = json.dumps({"q": [{"field": "user", "value": "ruth"}], "limit": 2})
    got = asker.client.generic("GET", "/v2/samples", body, content_type="application/json", headers=asker.headers)
    link = got["Link"].partition(">")[0][1:]
    rest = asker.client.generic("GET", link, body, content_type="application/json", headers=asker.headers)
    assert [row["volume"] for answer in (got, rest) for row in answer.json()] == [2, 1, 0]
