from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from api.urls import urlpatterns
from metering.models import Sample, Token
from tests import factories
from tests.api import asking
from tests.factories import reading, store

pytestmark = pytest.mark.django_db

# Every route but the root, with what red's own caller gets of red's sample: a list of rows, or the one row.
ROUTES = {
    "meters": "/v2/meters",
    "meter": "/v2/meters/cpu",
    "statistics": "/v2/meters/cpu/statistics",
    "samples": "/v2/samples",
    "sample": "/v2/samples/{message_id}",
    "resources": "/v2/resources",
    "resource": "/v2/resources/web-1",
}
OF_EVERYBODY = {"versions", None}  # the root document, and the answer to any other address
OF_EVENTS = {"events", "event", "event_types", "event_traits", "event_trait"}  # see test_events.py
SINGLE = {"sample", "resource"}


def routes() -> Iterator[tuple[str, str]]:
    message_id = str(Sample.objects.get().message_id)
    for name, path in ROUTES.items():
        yield name, path.format(message_id=message_id)


def test_no_route_is_missing_from_the_table_of_routes() -> None:
    assert {
        route.name for route in urlpatterns if isinstance(route, URLPattern)
    } == ROUTES.keys() | OF_EVENTS | OF_EVERYBODY


@pytest.mark.parametrize("slash", ["", "/"])
def test_each_route_shows_a_row_to_its_project_and_to_admins_and_to_nobody_else(slash: str) -> None:
    store(reading())
    admin, own, other, anonymous = asking.admin(), asking.of("red"), asking.of("blue"), asking.nobody()
    for name, path in routes():
        assert anonymous.get(path + slash).status_code == 401, name
        for asker in (admin, own):
            answer = asker.ask(path + slash)
            assert (answer["resource_id"] == "web-1") if name in SINGLE else (len(answer) == 1), name
        if name in SINGLE:
            assert other.get(path + slash).status_code == 404, name
        else:
            assert other.ask(path + slash) == [], name


def test_another_project_may_not_be_named_in_a_query() -> None:
    store(reading())
    other = asking.of("blue")
    for name, path in routes():
        if name not in SINGLE:
            expected = (401, "Not Authorized to access project red")
            assert other.refusal(path, ("project_id", "red")) == expected, name
            assert other.refusal(path, ("project", "red")) == expected, name
            assert other.refusal(path, ("project", "None"))[0] == 401, name
            assert other.ask(path, ("project", "blue")) == [], name


def test_the_headers_that_keystones_middleware_would_set_are_never_believed_from_a_client() -> None:
    store(reading())
    forged = {"X-Project-Id": "red", "X-Roles": "admin", "X-User-Id": "ruth", "X-Identity-Status": "Confirmed"}
    assert asking.nobody().get("/v2/samples", headers=forged).status_code == 401
    assert asking.of("blue").get("/v2/samples", headers=forged).json() == []


def test_an_anonymous_caller_is_told_how_to_authenticate() -> None:
    response = asking.nobody().get("/v2/meters")
    assert asking.refusal(response) == (401, "Authentication credentials were not provided.")
    assert response["WWW-Authenticate"] == 'Bearer realm="nephometer"'


@pytest.mark.parametrize("text", ["wrong", "tökén", "x" * 5_000, "\x00"])
def test_a_wrong_token_opens_nothing(text: str) -> None:
    assert asking.Asker(text.encode().decode("latin-1")).refusal("/v2/meters")[0] == 401


def test_an_expired_token_opens_nothing() -> None:
    text = factories.token("red")
    Token.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert asking.Asker(text).refusal("/v2/meters") == (401, "The token is unknown, expired or revoked")


def test_a_token_may_also_come_as_a_bearer() -> None:
    text = factories.token("red")
    response = asking.nobody().get("/v2/meters", headers={"Authorization": f"Bearer {text}"})
    assert response.status_code == 200
    assert asking.nobody().get("/v2/meters", headers={"Authorization": f"Basic {text}"}).status_code == 401


def test_samples_without_a_project_are_for_admins() -> None:
    store(reading(project=None))
    assert asking.of("red").ask("/v2/samples") == []
    [sample] = asking.admin().ask("/v2/samples", ("project", "None"))
    assert sample["project_id"] is None


def test_a_resource_that_changed_hands_shows_each_owner_only_his_own_samples() -> None:
    store(reading(1, 0, project="red"), reading(2, 60, project="blue"))
    assert [row["project_id"] for row in asking.of("red").ask("/v2/meters")] == ["red"]
    assert [row["project_id"] for row in asking.admin().ask("/v2/meters")] == ["blue"]
    assert asking.of("red").ask("/v2/resources") == []
    assert asking.of("red").get("/v2/resources/web-1").status_code == 404
    [resource] = asking.of("red").ask("/v2/resources", ("timestamp", factories.at(-1).isoformat(), "ge"))
    assert (resource["project_id"], resource["last_sample_timestamp"]) == ("red", "2026-11-23T12:00:00")
    [figures] = asking.of("red").ask("/v2/meters/cpu/statistics")
    assert figures["max"] == 1


def test_the_session_of_a_staff_user_sees_everything_and_that_of_another_nothing() -> None:
    store(reading())
    staff, customer = Client(), Client()
    staff.force_login(User.objects.create_user("alice", is_staff=True))
    customer.force_login(User.objects.create_user("bob"))
    assert len(staff.get("/v2/samples").json()) == 1
    assert customer.get("/v2/samples").status_code == 401


def test_a_browser_that_is_not_logged_in_gets_a_link_to_log_in_and_back() -> None:
    response = asking.nobody().get("/v2/samples?limit=1", headers={"Accept": "text/html"})
    assert response.status_code == 401
    assert f'href="/admin/login/?next={quote("/v2/samples?limit=1")}"' in response.content.decode()


def test_a_browser_that_is_logged_in_gets_a_page() -> None:
    store(reading(metadata={"display_name": "<script>"}))
    browser = Client()
    browser.force_login(User.objects.create_user("alice", is_staff=True))
    for _, path in routes():
        page = browser.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert page.status_code == 200
        assert page["Content-Type"] == "text/html; charset=utf-8"
        text = page.content.decode()
        assert ">alice</a>" in text
        assert "<script>&quot;" not in text
        assert '"<script>"' not in text
