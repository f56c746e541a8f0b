"""Tokens of a real Keystone: whose they are, for how long that is believed, and what happens while it is away."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from redis import Redis as Client

from embedded.services import Redis, free_port
from metering import cache, keystone
from metering.access_settings import AccessSettings, KeystoneSettings
from metering.doctor import keystone as doctor
from tests.api import asking
from tests.api.asking import Asker
from tests.factories import reading, store
from tests.openstack.keystone_server import PASSWORD
from tests.openstack.lab import CloudLab
from tests.openstack.services import Answer, Asked, Services

pytestmark = pytest.mark.django_db

AWAY = (503, "Keystone does not answer")
NO_PROJECT = (403, "The token is scoped to no project: there is nothing that it opens")
UNKNOWN = (401, "The token is unknown, expired or revoked")
Told = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(autouse=True)
def _answering() -> Iterator[None]:
    """No test finds the cache to be away because another one had it so."""
    cache.forget()
    yield
    cache.forget()


@pytest.fixture
def told(cloud_lab: CloudLab) -> Told:
    """The API, told of the lab's Keystone."""

    def telling(policy: Path | None = None, **more: Any) -> AbstractContextManager[Any]:
        usual = {"urls": (cloud_lab.auth_url,), "user": "nephometer", "password": PASSWORD, "project": "admin"}
        access = AccessSettings(policy_file=policy, keystone=KeystoneSettings(**usual | more))
        return override_settings(METERING=replace(settings.METERING, access=access))

    return telling


@pytest.fixture
def pretender() -> Iterator[Services]:
    """Somebody who answers at a Keystone's address: with a token of our own, and then as the test says."""
    services = Services()
    services.change("/v3/auth/tokens", issue)
    yield services
    services.close()


def issue(asked: Asked) -> Answer:
    return Answer({"token": {"expires_at": "2100-01-01T00:00:00Z"}}, 201, {"X-Subject-Token": "ours"})


def saying(services: Services, answer: Answer) -> str:
    """The address of a Keystone that lets us in, and answers so when it is asked whose a token is."""
    services.change("/v3/auth/tokens", lambda asked: issue(asked) if asked.method == "POST" else answer)
    return services.url


def held(**more: Any) -> Answer:
    """What Keystone says of a token of the project red."""
    token = {"user": {"id": "ruth"}, "project": {"id": "red"}, "roles": [{"name": "member"}]}
    return Answer({"token": {**token, "expires_at": "2100-01-01T00:00:00.000000Z", **more}})


def fill(lab: CloudLab) -> None:
    store(*(reading(project=lab.projects[name], resource=name) for name in ("red", "blue")), reading(project=None))


def seen(token: str) -> list[str]:
    return sorted(row["resource_id"] for row in Asker(token).ask("/v2/resources"))


def test_a_project_s_user_sees_his_project_and_an_admin_all(cloud_lab: CloudLab, told: Told) -> None:
    fill(cloud_lab)
    with told():
        for _ in range(2):  # asked, and remembered
            assert seen(cloud_lab.token("ruth", "red")) == ["red"]
            assert seen(cloud_lab.token("bert", "blue")) == ["blue"]
            assert seen(cloud_lab.token("admin", "admin")) == ["blue", "red", "web-1"]
        ruth = Asker(cloud_lab.token("ruth", "red"))
        other = ("project", cloud_lab.projects["blue"])
        assert ruth.refusal("/v2/resources", other) == (401, f"Not Authorized to access project {other[1]}")
        assert ruth.refusal("/v2/resources/blue")[0] == 404
        bearer = {"Authorization": f"Bearer {cloud_lab.token('ruth', 'red')}", "X-Service-Token": "anything"}
        assert len(Asker().get("/v2/resources", headers=bearer).json()) == 1


def test_which_roles_make_an_admin_is_said_by_the_policy_file(cloud_lab: CloudLab, told: Told, tmp_path: Path) -> None:
    fill(cloud_lab)
    policy = tmp_path / "policy.json"
    policy.write_text('{"context_is_admin": [["role:member"]], "telemetry:get_resource": "role:admin"}')
    ruth = cloud_lab.token("ruth", "red")
    with told():
        assert seen(ruth) == ["red"]
    with told(policy):  # also of what is remembered
        assert seen(ruth) == ["blue", "red", "web-1"]
        assert Asker(ruth).refusal("/v2/resources/red") == (403, "RBAC Authorization Failed")


def test_a_token_of_no_project_opens_nothing_unless_it_is_the_whole_system_s(cloud_lab: CloudLab, told: Told) -> None:
    fill(cloud_lab)
    domain, system = {"domain": {"id": "default"}}, {"system": {"all": True}}
    place = f"{cloud_lab.auth_url}/domains/default/users"
    users = {user["name"]: user["id"] for user in cloud_lab.call("GET", f"{cloud_lab.auth_url}/users").json()["users"]}
    roles = {role["name"]: role["id"] for role in cloud_lab.call("GET", f"{cloud_lab.auth_url}/roles").json()["roles"]}
    cloud_lab.call("PUT", f"{place}/{users['admin']}/roles/{roles['admin']}")
    cloud_lab.call("PUT", f"{cloud_lab.auth_url}/system/users/{users['ruth']}/roles/{roles['reader']}")
    with told():
        assert Asker(cloud_lab.token("ruth")).refusal("/v2/resources") == NO_PROJECT
        assert Asker(cloud_lab.token("admin", scope=domain)).refusal("/v2/resources") == NO_PROJECT
        assert Asker(cloud_lab.token("ruth", scope=system)).refusal("/v2/resources") == NO_PROJECT
        assert seen(cloud_lab.token("admin", scope=system)) == ["blue", "red", "web-1"]


def test_a_revoked_token_is_refused_once_the_bound_has_passed(cloud_lab: CloudLab, told: Told) -> None:
    tokens = [cloud_lab.token("ruth", "red") for _ in range(3)]
    with told():
        assert seen(tokens[0]) == []
        cloud_lab.revoke(tokens[0])
        assert seen(tokens[0]) == []  # for a minute
    with told(cache_seconds=0):
        assert seen(tokens[1]) == []
        cloud_lab.revoke(tokens[1])
        assert Asker(tokens[1]).refusal("/v2/resources") == UNKNOWN
    with told(cache_seconds=1):
        assert seen(tokens[2]) == []
        cloud_lab.revoke(tokens[2])
        assert refused_in_the_end(tokens[2])


def test_a_token_is_not_believed_beyond_its_own_end(cloud_lab: CloudLab, told: Told) -> None:
    """Of a trust, which ends with it: Keystone's own tokens last for an hour."""
    ids = {user["name"]: user["id"] for user in cloud_lab.call("GET", f"{cloud_lab.auth_url}/users").json()["users"]}
    trust = {
        "trustor_user_id": ids["ruth"],
        "trustee_user_id": ids["bert"],
        "project_id": cloud_lab.projects["red"],
        "impersonation": True,
        "roles": [{"name": "member"}],
        "expires_at": (datetime.now(UTC) + timedelta(seconds=4)).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
    }
    given = {"X-Auth-Token": cloud_lab.token("ruth", "red")}
    made = cloud_lab.call("POST", f"{cloud_lab.auth_url}/OS-TRUST/trusts", {"trust": trust}, headers=given).json()
    token = cloud_lab.token("bert", scope={"OS-TRUST:trust": {"id": made["trust"]["id"]}})
    with told(cache_seconds=3_600):
        assert seen(token) == []
        assert refused_in_the_end(token)


def refused_in_the_end(token: str) -> bool:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        response = Asker(token).get("/v2/resources")
        if response.status_code == 401:
            return True
        assert response.status_code == 200
        time.sleep(0.1)
    return False


def test_what_is_no_token_is_refused(cloud_lab: CloudLab, told: Told) -> None:
    with told():
        for text in ("x", "gAAAAA" + "B" * 177, "..", "%00", '"', "é", "a b", "x" * 8_000, "x" * 9_000):
            assert Asker(text).refusal("/v2/resources") == UNKNOWN


def test_redis_knows_no_token_and_is_not_believed(cloud_lab: CloudLab, told: Told, redis: Redis) -> None:
    fill(cloud_lab)
    ruth, admin = cloud_lab.token("ruth", "red"), cloud_lab.token("admin", "admin")
    client: Any = Client.from_url(settings.CACHES["default"]["LOCATION"])  # Any: its types are its asyncio's too
    client.flushdb()
    with told():
        assert seen(ruth) == ["red"]
        [key] = client.keys("*keystone*")
        assert 0 < client.ttl(key) <= 60
        assert seen(admin) == ["blue", "red", "web-1"]
        [other] = [name for name in client.keys("*keystone*") if name != key]
        assert ruth.encode() not in key + client.get(key)
        client.set(key, client.get(other))  # another's entry is not ours
        assert seen(ruth) == ["red"]
        client.set(key, pickle.dumps({"roles": ["admin"]}))
        assert seen(ruth) == ["red"]


def test_the_first_url_that_answers_is_asked(cloud_lab: CloudLab, told: Told, pretender: Services) -> None:
    fill(cloud_lab)
    dead = f"http://127.0.0.1:{free_port()}"
    broken = saying(pretender, Answer("no", 500))
    with told(urls=(dead, broken, cloud_lab.auth_url.removesuffix("/v3"))):
        assert seen(cloud_lab.token("ruth", "red")) == ["red"]
        assert Asker("x").refusal("/v2/resources") == UNKNOWN
        assert seen(cloud_lab.token("bert", "blue")) == ["blue"]
    assert [asked.method for asked in pretender.asked].count("GET") == 3


def test_without_keystone_its_tokens_open_nothing_and_ours_still_do(
    cloud_lab: CloudLab, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    token = cloud_lab.token("admin", "admin")
    with told(urls=tuple(f"http://127.0.0.1:{free_port()}" for _ in range(2))):
        for _ in range(3):
            response = Asker(token).get("/v2/resources")
            assert asking.refusal(response) == AWAY
            assert response["Retry-After"] == "5"
        assert asking.admin().ask("/v2/resources") == []
        assert asking.nobody().refusal("/v2/resources")[0] == 401
    said = [record.message for record in caplog.records if record.name == "metering.keystone"]
    assert len(said) == 2  # one for each, however often it is asked
    assert token not in caplog.text


def test_a_keystone_that_was_away_is_asked_again(
    told: Told, pretender: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keystone, "REST_SECONDS", 0.0)
    with told(urls=(saying(pretender, Answer("no", 403)),)):
        assert Asker("a-token").refusal("/v2/resources") == AWAY
        saying(pretender, held())
        assert seen("a-token") == []


def test_a_slow_keystone_holds_nobody_up_for_long(told: Told, pretender: Services) -> None:
    with told(urls=(saying(pretender, replace(held(), slow="body")),), timeout=1):
        for number in range(20):
            assert Asker(f"slow-{number}").refusal("/v2/resources") == AWAY
    assert len(pretender.asked) == 2  # for our own token and for the first of theirs: then it was left alone


@pytest.mark.parametrize(
    "answer",
    [
        Answer("<html>", 200),
        Answer([], 200),
        Answer({"token": {}}, 200),
        held(user=None),
        held(roles=7),
        held(expires_at="soon"),
        held(project={"name": "red"}),
        Answer("", 302, {"Location": "/elsewhere"}),
        Answer("", 429),
        Answer("x" * (2 << 20), 200),
    ],
    ids=["html", "list", "empty", "user", "roles", "expiry", "project", "redirect", "busy", "huge"],
)
def test_what_keystone_cannot_mean_opens_nothing(told: Told, pretender: Services, answer: Answer) -> None:
    with told(urls=(saying(pretender, answer),)):
        assert Asker("some-token").refusal("/v2/resources") == AWAY


def test_a_service_user_who_is_refused_is_told_to_the_operator_and_tried_seldom(
    cloud_lab: CloudLab, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    token = cloud_lab.token("ruth", "red")
    with told(password="a wrong one"):
        for _ in range(3):
            assert Asker(token).refusal("/v2/resources") == AWAY
    with told(user="bert", project="blue"):
        assert Asker(token).refusal("/v2/resources") == AWAY
    said = [record.message for record in caplog.records if record.name == "metering.keystone"]
    assert len(said) == 2
    assert "gives us no token of our own" in said[0]
    assert "does not let us ask whose a token is: 403" in said[1]
    assert "a wrong one" not in caplog.text


def test_without_redis_keystone_is_asked_every_time(
    cloud_lab: CloudLab, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    fill(cloud_lab)
    ruth = cloud_lab.token("ruth", "red")
    away = {"default": {**settings.CACHES["default"], "LOCATION": f"redis://127.0.0.1:{free_port()}/0"}}
    with told(), override_settings(CACHES=away):
        for _ in range(3):
            assert seen(ruth) == ["red"]
        cloud_lab.revoke(ruth)
        assert Asker(ruth).refusal("/v2/resources") == UNKNOWN
    assert [record.name for record in caplog.records if "cache" in record.message] == ["metering.cache"]


def test_the_doctor_says_whether_the_api_can_ask(cloud_lab: CloudLab) -> None:
    known = KeystoneSettings((cloud_lab.auth_url,), "nephometer", PASSWORD, "admin")
    dead = f"http://127.0.0.1:{free_port()}"

    for told, said in (
        (known, f"good   keystone: {cloud_lab.auth_url} answers, and lets nephometer ask whose a token is"),
        (replace(known, password="a wrong one"), f"wrong  keystone: {cloud_lab.auth_url} gives us no token of our own"),
        (
            replace(known, user="bert", project="blue"),
            f"note   keystone: {cloud_lab.auth_url} answers; bert has only the roles",
        ),
        (replace(known, urls=(dead,)), f"wrong  keystone: {dead}/v3 does not answer"),
    ):
        [finding] = doctor.examine(told)
        assert said in str(finding)
        assert "a wrong one" not in str(finding)
    assert list(doctor.examine(None)) == []
