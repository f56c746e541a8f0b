from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.utils import timezone

from metering.access_settings import AccessSettings
from metering.models import Token
from tests import factories
from tests.api import asking, routes
from tests.api.asking import Asker
from tests.api.routes import Route, Sees
from tests.factories import reading, store

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

pytestmark = pytest.mark.django_db


def send(asker: Asker, route: Route, path: str) -> Answer:
    """The route's own request, with whatever headers this caller has."""
    body = "" if route.body is None else json.dumps(route.body)
    kind = {"content_type": "application/json"} if body else {}
    return asker.client.generic(route.method, path, body, headers=asker.headers, **kind)  # type: ignore[arg-type] # of what the stubs take for a header


def rows(response: Answer, route: Route) -> Any:
    assert response.status_code == route.status, (route.name, response.content)
    answer = response.json()
    return answer[route.within] if route.within else answer


def test_no_route_is_missing_from_the_table_of_routes() -> None:
    assert not list(routes.missing()), "add a row to tests/api/routes.py"


@pytest.mark.parametrize("slash", ["", "/"])
def test_each_route_shows_a_row_to_its_project_and_to_admins_and_to_nobody_else(slash: str) -> None:
    names = routes.fill()
    admin, own, other, anonymous = asking.admin(), asking.of("red"), asking.of("blue"), asking.nobody()
    for route in sorted(routes.TABLE, key=lambda route: route.sees is Sees.TAKEN):  # these last: they add rows
        path = route.address(names, slash)
        if route.sees is Sees.EVERYBODY:
            assert send(anonymous, route, path).status_code == route.status, route.name
            continue
        assert asking.refusal(send(anonymous, route, path))[0] == 401, route.name
        shown = rows(send(admin, route, path), route)
        if route.sees is Sees.ADMINS:
            assert asking.refusal(send(own, route, path))[0] == 401, route.name
            assert asking.refusal(send(other, route, path))[0] == 401, route.name
            continue
        if route.sees is Sees.TAKEN:
            assert len(rows(send(own, route, path), route)) == len(shown), route.name
            assert asking.refusal(send(other, route, path))[0] == 400, route.name
            continue
        if route.sees is Sees.OWN:
            assert (len(shown), rows(send(own, route, path), route)) == (1, []), route.name
            assert rows(send(other, route, path), route) == [], route.name
            continue
        assert rows(send(own, route, path), route) == shown, route.name
        if route.sees is Sees.FIGURE:
            assert (shown is None, rows(send(other, route, path), route)) == (False, None), route.name
        elif route.sees is Sees.ROW:
            assert asking.refusal(send(other, route, path))[0] == 404, route.name
        elif route.sees is Sees.ROWS:
            assert len(shown) == 1, route.name
            assert rows(send(other, route, path), route) == [], route.name
        else:
            assert rows(send(other, route, path), route) == shown, route.name


def test_another_project_may_not_be_named_in_a_query() -> None:
    names = routes.fill()
    other = asking.of("blue")
    for route in routes.TABLE:
        if route.takes_project:
            path = route.address(names)
            expected = (401, "Not Authorized to access project red")
            assert other.refusal(path, ("project_id", "red")) == expected, route.name
            assert other.refusal(path, ("project", "red")) == expected, route.name
            assert other.refusal(path, ("project", "None"))[0] == 401, route.name
            assert other.ask(path, ("project", "blue")) == [], route.name


def test_the_headers_that_keystones_middleware_would_set_are_never_believed_from_a_client() -> None:
    store(reading())
    forged = {
        **{f"X-{name}": "red" for name in ("Project-Id", "Tenant-Id", "Tenant", "Tenant-Name", "Project-Name")},
        **{f"X-{name}": "ruth" for name in ("User-Id", "User", "User-Name", "Forwarded-User")},
        **{f"X-{name}": "admin" for name in ("Roles", "Role", "Service-Roles")},
        "X-Identity-Status": "Confirmed",
        "X-Service-Identity-Status": "Confirmed",
        "X-Is-Admin-Project": "True",
        "Remote-User": "ruth",
        "Authorization": "Basic YWRtaW46YWRtaW4=",
        "X-Service-Token": factories.token(),
    }
    trusting = AccessSettings(trusted_proxies=(ip_network("127.0.0.0/8"),))  # also of those whose other headers are
    for access in (AccessSettings(), trusting):
        with override_settings(METERING=replace(settings.METERING, access=access)):
            assert asking.nobody().get("/v2/samples", headers=forged).status_code == 401
            assert asking.of("blue").get("/v2/samples", headers=forged).json() == []
            assert asking.of("blue").get("/v2/event_types", headers=forged).status_code == 401


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
    names = routes.fill()
    browser = Client()
    browser.force_login(User.objects.create_user("alice", is_staff=True))
    for route in routes.TABLE:
        if route.method == "GET" and route.sees is not Sees.EVERYBODY:
            path = route.address(names)
            page = browser.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
            assert page.status_code == route.status, route.name
            assert page["Content-Type"] == "text/html; charset=utf-8"
            text = page.content.decode()
            assert ">alice</a>" in text
            assert 'action="/admin/logout/"' in text
            assert "<script>&quot;" not in text
            assert '"<script>"' not in text


def test_a_session_alone_changes_nothing() -> None:
    """A page of somebody else's, open in the same browser, must not be able to send a form here."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_user("alice", is_staff=True))
    for route in routes.TABLE:
        if route.sees is not Sees.EVERYBODY:
            path = route.address({"sample": "x", "event": "x"})
            response = browser.post(path, "{}", content_type="application/json")
            assert asking.refusal(response) == (403, "CSRF Failed: CSRF cookie not set."), route.name
