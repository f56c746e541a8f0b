"""What no well-meaning client sends. Each is refused by a 4xx in the API's shape, or answered: none is a fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from django.test import Client

from tests import events, factories
from tests.api import asking
from tests.factories import reading, store

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

pytestmark = pytest.mark.django_db

SQL = (
    "'; DROP TABLE sample; --",
    '" OR 1=1 --',
    "1) UNION SELECT digest FROM token --",
    "%s %(x)s %",
    "\\'; $$",
    "{0}",
)
NUMBERS = ("NaN", "Infinity", "-inf", "1e400", "9" * 5_000, "-" + "9" * 30, "0x10", "1_0", "٣", "1.5", "", " ", "null")
TEXTS = (
    "a" * 3_000,
    "é😀\u202e",
    "../../etc/passwd",
    "<script>",
    "{}",
    "[1]",
    "metadata.",
    "metadata.a'b",
    "None",
    "\ufeff",
)
BYTES = ("%00", "a%00b", "%ff%fe", "%ed%a0%80", "%0d%0aX-Evil:1", "%2e%2e%2f")  # as they stand in a URL
HOSTILE = (*(quote(text, safe="") for text in (*SQL, *NUMBERS, *TEXTS)), *BYTES)

LISTINGS = (
    "/v2/meters",
    "/v2/meters/cpu",
    "/v2/meters/cpu/statistics",
    "/v2/samples",
    "/v2/resources",
    "/v2/events",
    "/v1/meters",
    "/v1/resources/web-1/meters/cpu",
)
PARAMETERS = (
    "q.field={}&q.value=a",
    "q.field=resource_id&q.value={}",
    "q.field=resource_id&q.value=a&q.op={}",
    "q.field=metadata.a&q.value=1&q.type={}",
    "q.field=metadata.{}&q.value=1",
    "q.field=timestamp&q.op=ge&q.value={}",
    "q.field=metadata.a&q.value={}",
    "q.field=metadata.a&q.type=integer&q.value={}",
    "q.field=metadata.a&q.type=float&q.value={}",
    "q.field=metadata.a&q.type=datetime&q.value={}",
    "q.field=timestamp&q.op=lt&q.value=2026-01-01&q.field=search_offset&q.value={}",
    "q.field=message_id&q.value={}",
    "q.field=size&q.type=integer&q.value={}",
    "limit={}",
    "period={}",
    "groupby={}",
    "groupby=metadata.{}",
    "aggregate.func={}",
    "aggregate.func=cardinality&aggregate.param={}",
    "aggregate.func=percentile&aggregate.param={}",
    "unique={}",
    "meter_links={}",
    "start_timestamp={}",
    "search_offset={}",
    "{}=1",
    "q.op={}",
    "q.value={}",
    "marker={}",
)
REFUSALS = (400, 401, 404, 501)


def settled(response: Answer, what: str) -> int:
    """The status of an answer that is no fault; a refusal must have the API's shape."""
    status = response.status_code
    if status != 200:
        assert status in (*REFUSALS, 403, 405, 406, 413, 415), what
        assert asking.refusal(response)[1], what
    return status


@pytest.fixture
def asker() -> asking.Asker:
    store(reading(metadata={"a": 1}))
    events.store(events.event(1, size=10))
    asker = asking.admin()
    asker.client = Client(raise_request_exception=False)
    return asker


@pytest.mark.parametrize("listing", LISTINGS)
def test_no_parameter_can_be_made_to_fail(listing: str, asker: asking.Asker) -> None:
    begin = LISTINGS.index(listing)
    for number, parameter in enumerate(PARAMETERS):
        for text in HOSTILE[(begin + number) % len(LISTINGS) :: len(LISTINGS)]:  # all of them take minutes
            address = f"{listing}?{parameter.format(text)}"
            settled(asker.client.get(address, headers=asker.headers), address[:300])
    assert len(asker.ask("/v2/samples")) == 1  # and nothing was dropped


@pytest.mark.parametrize(
    "address",
    [
        "/v2/meters/{}",
        "/v2/meters/{}/statistics",
        "/v2/samples/{}",
        "/v2/samples/{}/verification",
        "/v2/resources/{}",
        "/v2/events/{}",
        "/v2/event_types/{}/traits",
        "/v2/event_types/a/traits/{}",
        "/v2/{}",
        "/{}",
        "/v1/{}/a/meters",
        "/v1/users/{}/meters/{}",
        "/v1/projects/{}/meters/cpu/volume/{}",
    ],
)
def test_no_address_can_be_made_to_fail(address: str, asker: asking.Asker) -> None:
    for text in (*HOSTILE, "..", ".", "/", "//", "a//b", "%25", "%", "a;b", "~", "*"):
        place = address.replace("{}", text)
        settled(asker.client.get(place, headers=asker.headers), place[:300])
        settled(asker.client.post(place, b"[]", content_type="application/json", headers=asker.headers), place[:300])


IDS = (
    "AUTH_1/box",
    "/",
    "/a",
    "a/",
    "a//b",
    "a/../b",
    ".",
    "..",
    "a%2Fb",
    "é😀 ü",
    "a b+c",
    "a?b=c#d",
    "a;b,c&d",
    "statistics",
    "'\"<>\\",
)


def test_a_resource_is_addressed_whatever_its_id_holds() -> None:
    store(*(reading(resource=name) for name in IDS))
    asker = asking.admin()
    listed = {row["resource_id"]: row["links"] for row in asker.ask("/v2/resources")}
    assert sorted(listed) == sorted(IDS)
    for name, links in listed.items():
        for link in links:
            found = asker.ask(link["href"].removeprefix("http://testserver"))
            assert [row["resource_id"] for row in (found if isinstance(found, list) else [found])] == [name], link
        assert asker.ask("/v2/samples", ("resource_id", name))[0]["resource_id"] == name


DEEP = 100_000
BODIES: dict[str, Any] = {
    "not JSON": b"{",
    "nothing": b"",
    "null": b"null",
    "a text": b'"x"',
    "a number": b"1e999",
    "NaN": b'{"limit": NaN}',
    "deep": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"q":' * DEEP + b"1" + b"}" * DEEP,
    "lone surrogate": b'{"filter": "\\ud800"}',
    "not UTF-8": b'{"filter": "\xff"}',
    "another encoding": '{"limit": 1}'.encode("utf-16"),
    "too long": b'{"filter": "' + b"a" * (1 << 20) + b'"}',
    "wide": json.dumps({"q": [{"field": "resource_id", "value": "a"}] * 10_000}).encode(),
    "clauses of no kind": b'{"q": [1, null, [], "x", {"field": {}, "value": []}]}',
    "odd names": json.dumps([{"": 1, "__class__": 2, "\u0000": 3}]).encode(),
    "twice": b'{"limit": 1, "limit": 2}',
}


@pytest.mark.parametrize("name", BODIES)
def test_no_body_can_be_made_to_fail(name: str, asker: asking.Asker) -> None:
    for address in ("/v2/meters/cpu", "/v2/query/samples"):
        response = asker.client.post(address, BODIES[name], content_type="application/json", headers=asker.headers)
        settled(response, address)
    for address in ("/v2/samples", "/v2/meters", "/v2/events"):
        response = asker.client.generic(
            "GET", address, BODIES[name], content_type="application/json", headers=asker.headers
        )
        settled(response, address)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v2/meters/cpu"), ("POST", "/v2/query/samples"), ("GET", "/v2/samples")]
)
def test_a_body_that_is_too_long_is_a_413(method: str, path: str, asker: asking.Asker) -> None:
    answer = asker.client.generic(
        method, path, BODIES["too long"], content_type="application/json", headers=asker.headers
    )
    assert asking.refusal(answer) == (413, "The body of the request is longer than 1048576 bytes")


KINDS = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "application/yaml",
    "nonsense",
    "application/json; charset=utf-16",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_of_another_kind_is_refused(kind: str, asker: asking.Asker) -> None:
    for address in ("/v2/meters/cpu", "/v2/query/samples"):
        response = asker.client.post(address, b"--x--", content_type=kind, headers=asker.headers)
        assert settled(response, address) in (400, 415)


def _nested(depth: int) -> Any:
    filter_: Any = {"=": {"meter": "cpu"}}
    for _ in range(depth):
        filter_ = {"not": filter_}
    return filter_


FILTERS: tuple[Any, ...] = (
    {"or": [{"=": {"meter": "cpu"}}] * 10_000},
    {"in": {"resource_id": ["a"] * 10_000}},
    _nested(500),
    {"=": {"volume": "x' OR 1=1 --"}},
    {"=": {"counter_volume": 10**400}},
    {"=": {"metadata.a'; DROP TABLE sample; --": "x"}},
    {"=": {"timestamp": "yesterday"}},
    {"=": {"resource_id; --": "a"}},
    *(
        {"=~": {"resource_id": pattern}}
        for pattern in ("(", "(a+)+$", "((a*)*)*b", "a{1000}{1000}", "\\", "[[:x:]]", "(?=", "a" * 5_000)
    ),
)


@pytest.mark.parametrize("number", range(len(FILTERS)))
def test_no_complex_query_can_be_made_to_fail(number: int, asker: asking.Asker) -> None:
    store(reading(resource="a" * 200))
    body = {"filter": json.dumps(FILTERS[number]), "orderby": '[{"timestamp": "desc"}]'}
    response = asker.client.post("/v2/query/samples", body, content_type="application/json", headers=asker.headers)
    settled(response, str(FILTERS[number])[:200])


HEADERS: tuple[dict[str, str], ...] = (
    {"Accept": "application/json;q=0, text/html;q=0"},
    {"Accept": "*/*;q=abc"},
    {"Accept": "text/html, application/json;q=2;q=0.1,,;"},
    {"Accept": "a" * 5_000},
    {"Accept": "application/json\x00"},
    {"X-HTTP-Method-Override": "DELETE"},
    {"Range": "bytes=0-1"},
    {"If-None-Match": '"', "If-Modified-Since": "never"},
    {"Content-Length": "-1"},
    {"Content-Length": "abc"},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer a b c", "X-Auth-Token": ""},
    {"Idempotency-Key": "\xff" * 300},
    {"Cookie": "sessionid=' OR 1=1 --; csrftoken=;;=;"},
    {"Origin": "null"},
    {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher", "Forwarded": "host=evil.example"},
)


@pytest.mark.parametrize("number", range(len(HEADERS)))
def test_no_header_can_be_made_to_fail(number: int, asker: asking.Asker) -> None:
    for address in ("/", "/v2/samples", "/v2/resources"):
        response = asker.client.get(address, headers={**asker.headers, **HEADERS[number]})
        if "text/html" not in response.get("Content-Type", ""):
            settled(response, address)
        assert response.status_code < 500
        assert "evil" not in response.content.decode()


def test_a_query_of_ten_thousand_clauses_is_refused(asker: asking.Asker) -> None:
    clauses = "&".join(["q.field=a&q.value=1"] * 10_000)
    body = json.dumps({"q": [{"field": "resource_id", "value": "a"}] * 10_000})
    for listing in LISTINGS[:6]:
        assert settled(asker.client.get(f"{listing}?{clauses}", headers=asker.headers), listing) == 400
        response = asker.client.generic("GET", listing, body, content_type="application/json", headers=asker.headers)
        assert asking.refusal(response) == (400, "The query has more than 2000 clauses")
    traits = "&".join(["q.field=size&q.value=1"] * 51)
    refused = asker.client.get(f"/v2/events?{traits}", headers=asker.headers)
    assert asking.refusal(refused) == (400, "The query compares more than 50 traits")


def test_metadata_are_grouped_by_names_that_are_numbers() -> None:
    store(reading(metadata={"1": {"99999999999999999999": "a"}}))
    [row] = asking.admin().ask("/v2/meters/cpu/statistics", groupby="metadata.1.99999999999999999999")
    assert row["groupby"] == {"metadata.1.99999999999999999999": "a"}


def test_what_is_given_twice_is_not_guessed_at(asker: asking.Asker) -> None:
    for name in ("limit", "unique", "period", "meter_links"):
        for listing in LISTINGS[:5]:
            assert settled(asker.client.get(f"{listing}?{name}=1&{name}=1", headers=asker.headers), name) == 400


def test_a_token_is_in_no_log_and_no_answer(asker: asking.Asker, caplog: pytest.LogCaptureFixture) -> None:
    text = factories.token("red")
    wrong = "a-token-that-nobody-has-but-somebody-may"
    for address in ("/v2/samples", "/v2/nothing", "/v2/samples?limit=x", "/v2/samples/\x00"):
        for headers in ({"X-Auth-Token": text}, {"Authorization": f"Bearer {text}"}, {"X-Auth-Token": wrong}):
            response = asker.client.get(address, headers=headers)
            assert text not in response.content.decode()
            assert wrong not in response.content.decode()
    assert text not in caplog.text
    assert wrong not in caplog.text
