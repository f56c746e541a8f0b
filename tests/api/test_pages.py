from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client

from api.blanks import without_blanks
from tests import events, factories
from tests.api import routes
from tests.factories import reading, store

pytestmark = pytest.mark.django_db

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BLANK = "q.field=&q.op=&q.value=&q.type="


class Page(HTMLParser):
    """What is on a page: links by their text, fields of forms, and the labels of these."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.links: dict[str, str] = {}
        self.fields: list[dict[str, str | None]] = []
        self.labelled: set[str | None] = set()
        self._href: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self._href = told.get("href") if tag == "a" else None
        if tag in ("input", "select") and told.get("type") != "hidden":
            self.fields.append(told)
        if tag == "label":
            self.labelled.add(told.get("for"))

    def handle_data(self, data: str) -> None:
        if self._href is not None:
            self.links.setdefault(data.strip(), self._href)
            self._href = None


@pytest.fixture
def browser() -> Client:
    client = Client(headers=HTML)
    client.force_login(User.objects.create_user("alice", is_staff=True))
    return client


def page(browser: Client, address: str, status: int = 200) -> Page:
    response = browser.get(address)
    assert response.status_code == status
    assert "script-src" not in response["Content-Security-Policy"]  # so what is the default holds: none
    return Page(response.content.decode())


def test_every_route_is_a_page_that_is_labelled_and_needs_nothing_from_elsewhere(browser: Client) -> None:
    names = routes.fill()
    for route in routes.TABLE:
        if route.method != "GET" or route.name in routes.UNDESCRIBED:
            continue
        shown = page(browser, route.address(names))
        assert ">alice</a>" in shown.text, route.name
        assert "<script" not in shown.text, route.name
        assert {field["id"] for field in shown.fields} == shown.labelled, route.name
        for file in re.findall(r'(?:src|href)="(?!/)([^"]+)"', shown.text):
            assert file.startswith(("http://testserver/", "#", "http://docs.openstack.org/")), route.name
        assert all(finders.find(file) for file in re.findall(r'href="/static/([^"]+)"', shown.text))


def test_a_form_asks_for_what_its_view_takes_and_keeps_what_was_asked(browser: Client) -> None:
    store(*(reading(number, 30 * number) for number in range(4)), reading(9, resource="web-2"))
    asked = f"{BLANK}&q.field=resource_id&q.op=eq&q.value=web-1&q.type=&period=60&groupby=&groupby=user_id"
    figures = "aggregate.func=&aggregate.param=&aggregate.func=max&aggregate.param="

    shown = page(browser, f"/v2/meters/cpu/statistics?{asked}&{figures}")

    assert "2 rows" in shown.text
    given = {field["name"]: field["value"] for field in shown.fields if field.get("value")}
    clause = {"q.field": "resource_id", "q.value": "web-1"}
    assert given == {**clause, "period": "60", "groupby": "user_id", "aggregate.func": "max"}
    names = {field["name"] for field in shown.fields}
    assert names == {"q.field", "q.op", "q.value", "q.type", "aggregate.func", "aggregate.param", "groupby", "period"}
    assert '<option value="eq" selected>' in shown.text
    assert "statistics?aggregate.func=max&amp;groupby=user_id&amp;period=60&amp;q.field=resource_id" in shown.text


def test_a_refusal_is_told_above_the_form_that_was_filled_in(browser: Client) -> None:
    shown = page(browser, '/v2/samples?limit="><script>', status=400)
    assert "Invalid input for field/attribute limit" in shown.text
    assert "<script>" not in shown.text
    assert [field["value"] for field in shown.fields if field["name"] == "limit"] == ['"><script>']


def test_only_a_form_may_leave_fields_empty() -> None:
    asker = Client(headers={"X-Auth-Token": factories.token()})
    assert asker.get(f"/v2/samples?{BLANK}&limit=", headers=HTML).status_code == 200
    assert asker.get("/v2/samples?limit=").status_code == 400
    assert asker.get(f"/v2/samples?{BLANK}").status_code == 400


def test_what_a_page_shows_leads_to_what_it_names(browser: Client) -> None:
    store(reading(resource="AUTH_1/box ü"))
    events.store(events.event(1))

    samples = page(browser, "/v2/samples")
    resource = page(browser, samples.links["AUTH_1/box ü"])
    meter = page(browser, resource.links["cpu"])
    assert "1 row" in meter.text
    assert "1 row" in page(browser, meter.links["Statistics of it"]).text
    assert resource.links["resources"] == "/v2/resources"
    assert resource.links["API"] == "/"
    listed = page(browser, "/v2/events")
    assert "volume.create.end" in page(browser, listed.links[events.ID.format(1)]).text
    types = page(browser, "/v2/event_types")
    assert "project_id" in page(browser, types.links["volume.create.end"]).text


def test_a_page_leads_to_the_next(browser: Client) -> None:
    store(reading(1, 0), reading(2, 60))
    first = page(browser, "/v2/samples?limit=1")
    second = page(browser, first.links["Next page"].removeprefix("http://testserver"))
    assert "volume&quot;: 2.0" in first.text
    assert "volume&quot;: 1.0" in second.text
    assert "Next page" not in second.links


def test_where_nothing_is_the_page_says_so_and_leads_back(browser: Client) -> None:
    shown = page(browser, "/v2/", status=404)
    assert "/v2/ Not Found" in shown.text
    assert shown.links["Meters"] == "/v2/meters"


def test_a_session_can_be_ended_from_every_page_and_comes_back_to_it(browser: Client) -> None:
    for address in ("/v2/meters", "/", "/v2/docs"):
        assert "Log out" in browser.get(address).content.decode(), address
    response = browser.post("/admin/logout/", {"next": "/v2/meters"})
    assert (response.status_code, response["Location"]) == (302, "/v2/meters")
    assert "Log out" not in browser.get("/v2/meters").content.decode()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"limit": [""]}, {}),
        ({"q.field": ["a"], "q.value": [""]}, {"q.field": ["a"], "q.value": [""]}),
        (
            {"q.field": ["", "a"], "q.op": ["eq", "ne"], "q.value": ["", "b"]},
            {"q.field": ["a"], "q.op": ["ne"], "q.value": ["b"]},
        ),
        ({"q.field": ["", ""], "q.op": ["", ""], "q.value": ["", ""], "q.type": ["", ""]}, {}),
        ({"q.field": [""], "q.value": ["b"]}, {"q.value": ["b"]}),
        (
            {"aggregate.func": ["", "max"], "aggregate.param": ["", "x"]},
            {"aggregate.func": ["max"], "aggregate.param": ["x"]},
        ),
        ({"groupby": ["", "source", ""]}, {"groupby": ["source"]}),
    ],
)
def test_what_a_form_leaves_empty_is_not_asked(given: dict[str, list[str]], meant: dict[str, list[str]]) -> None:
    assert without_blanks(given) == meant
