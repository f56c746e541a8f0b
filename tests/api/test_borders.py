"""What stands at the API's edge: alarms that are elsewhere, pages of other origins, and what it says of itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from tests.api import asking

pytestmark = pytest.mark.django_db


def tell(monkeypatch: pytest.MonkeyPatch, **told: Any) -> None:
    serving = dataclasses.replace(settings.METERING.serving, **told)
    monkeypatch.setattr(settings, "METERING", dataclasses.replace(settings.METERING, serving=serving))


ALARMS = ("/v2/alarms", "/v2/alarms/", "/v2/alarms/a/state", "/v2/query/alarms", "/v2/query/alarms/history/")


@pytest.mark.parametrize("path", ALARMS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_alarms_are_gone_or_elsewhere(path: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asker = asking.of("red")

    def ask(query: str = "") -> Any:
        return asker.client.generic(method, path + query, "[]", content_type="application/json", headers=asker.headers)

    assert asking.refusal(ask()) == (
        410,
        "Alarms are not served here, and no alarming service is known (METERING_ALARMING_URL)",
    )
    tell(monkeypatch, alarming_url="http://alarming.example:8042/")
    response = ask("?q.field=x%26y&q.value=%C3%A9")
    assert response.status_code == 307
    assert response["Location"] == f"http://alarming.example:8042{path}?q.field=x%26y&q.value=%C3%A9"
    assert ask()["Location"] == f"http://alarming.example:8042{path}"


@pytest.mark.parametrize("path", ["/v2/alarmsx", "/v2/query/", "/v2/query/nothing"])
def test_what_only_looks_like_alarms_is_not_found(path: str) -> None:
    assert asking.refusal(Client().get(path))[0] == 404


def test_capabilities_are_flat() -> None:
    shown = asking.of("red").ask("/v2/capabilities")
    assert sorted(shown) == ["api", "event_storage", "storage"]
    assert shown["storage"] == shown["event_storage"] == {"storage:production_ready": True}
    api = shown["api"]
    assert all(isinstance(value, bool) for value in api.values())
    asked = [f"{name}:query:{kind}" for name in ("meters", "resources", "samples", "statistics") for kind in KINDS]
    asked += [f"statistics:aggregation:selectable:{name}" for name in FUNCTIONS]
    asked += ["statistics:groupby", "statistics:aggregation:standard", "events:query:simple"]
    assert [name for name in asked if not api[name]] == [
        "meters:query:complex", "resources:query:complex", "statistics:query:complex",
    ]  # fmt: skip
    assert asking.of("red").refusal("/v2/capabilities", limit=1)[0] == 400
    assert not [name for name in api if name.startswith("alarms")]


KINDS = ("simple", "metadata", "complex")
FUNCTIONS = ("max", "min", "sum", "avg", "count", "stddev", "cardinality")
ORIGIN = "https://dashboard.example"
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}


def cors(response: Any) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("Access-Control")}


def test_a_page_of_another_origin_is_let_in_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch, cors_origins=(ORIGIN,))
    client = Client()
    preflight = client.options("/v2/meters", headers=PREFLIGHT)
    assert (preflight.status_code, preflight.content) == (200, b"")
    assert preflight["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Auth-Token" in preflight["Access-Control-Allow-Headers"]
    assert "POST" in preflight["Access-Control-Allow-Methods"]
    answer = asking.of("red").get("/v2/meters", headers={"Origin": ORIGIN})
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert "Origin" in answer["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer
    assert client.get("/v2/meters", headers={"Origin": ORIGIN})["Access-Control-Allow-Origin"] == ORIGIN  # a 401


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://dashboard.example.evil", ""])
def test_any_other_page_is_not(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for named in ((), (ORIGIN,)):
        tell(monkeypatch, cors_origins=named)
        preflight = Client().options("/v2/meters", headers={**PREFLIGHT, "Origin": origin})
        assert (preflight.status_code, cors(preflight)) == (200, {})
        assert cors(asking.of("red").get("/v2/meters", headers={"Origin": origin})) == {}


def test_every_page_may_be_let_in_but_not_to_the_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch, cors_origins=("*",))
    assert Client().get("/", headers={"Origin": ORIGIN})["Access-Control-Allow-Origin"] == "*"
    assert cors(Client().get("/admin/login/", headers={"Origin": ORIGIN})) == {}
    assert cors(Client().options("/admin/login/", headers=PREFLIGHT)) == {}
