from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client, RequestFactory

from api import errors
from tests.api import asking
from tests.factories import reading, store

pytestmark = pytest.mark.django_db


def test_the_root_tells_the_versions_to_anybody() -> None:
    assert asking.nobody().ask("/") == {
        "versions": {
            "values": [
                {
                    "id": "v2",
                    "status": "stable",
                    "updated": "2013-02-13T00:00:00Z",
                    "links": [
                        {"href": "http://testserver/v2", "rel": "self"},
                        {"href": "http://docs.openstack.org/", "rel": "describedby", "type": "text/html"},
                    ],
                    "media-types": [
                        {"base": "application/json", "type": "application/vnd.openstack.telemetry-v2+json"},
                        {"base": "application/xml", "type": "application/vnd.openstack.telemetry-v2+xml"},
                    ],
                }
            ]
        }
    }


@pytest.mark.parametrize(
    "path", ["/v2", "/v2/", "/v2/nothing", "/v3", "/v2/meters/a/b/c", "/v2//meters", "/x%00", "/é"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_any_other_address_is_not_found(path: str, method: str) -> None:
    assert asking.refusal(Client().generic(method, path))[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_refused_with_those_that_are_allowed(method: str) -> None:
    asker = asking.admin()
    for path in ("/v2/meters", "/v2/samples/", "/v2/resources/x", "/v2/meters/cpu/statistics"):
        response = asker.client.generic(method, path, "{}", content_type="application/json", headers=asker.headers)
        assert asking.refusal(response) == (405, f'Method "{method}" not allowed.')
        assert response["Allow"] == "GET"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.9", "application/json"),
        ("text/html;q=0.5, application/json;q=0.6", "application/json"),
        ("text/html", "text/html"),
        ("text/html;q=0.6, application/json;q=0.5", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", "text/html"),
    ],
)
def test_an_answer_has_the_form_that_is_liked_best(accept: str | None, kind: str) -> None:
    response = asking.admin().get("/v2/meters", headers={} if accept is None else {"Accept": accept})
    assert response.status_code == 200
    assert response["Content-Type"].partition(";")[0] == kind
    assert "Accept" in response["Vary"]


@pytest.mark.parametrize("accept", ["application/xml", "image/png", "text/plain;q=1", "nonsense"])
def test_a_form_that_is_not_offered_is_not_acceptable(accept: str) -> None:
    assert asking.refusal(asking.admin().get("/v2/meters", headers={"Accept": accept}))[0] == 406


def test_a_database_that_does_not_answer_is_worth_another_try() -> None:
    response = errors.answer(OperationalError("connection refused by db.internal:5432"), {})
    assert response is not None
    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert response.data["error_message"]["faultstring"] == "The database does not answer"
    assert response.data["error_message"]["faultcode"] == "Server"


def test_a_fault_of_our_own_says_nothing_of_itself() -> None:
    assert errors.answer(ZeroDivisionError("secret"), {}) is None  # so Django logs it, and answers with:
    response = errors.server_error(RequestFactory().get("/"))
    assert response.status_code == 500
    assert b"Internal Server Error" in response.content


def test_a_host_that_is_not_ours_is_refused_in_the_apis_shape() -> None:
    response = Client().get("/v2/meters", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert response.json()["error_message"]["faultcode"] == "Client"


def test_a_session_may_change_nothing_without_its_csrf_token() -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_user("alice", is_staff=True))
    assert asking.refusal(browser.post("/v2/samples", {}, content_type="application/json"))[0] == 403
    assert browser.get("/v2/samples").status_code == 200


def test_head_and_options_are_answered() -> None:
    store(reading())
    asker = asking.admin()
    assert asker.client.head("/v2/meters", headers=asker.headers).content == b""
    assert asker.client.options("/v2/meters", headers=asker.headers).status_code == 200
