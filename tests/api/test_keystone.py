"""Tokens of a real Keystone: whose they are, and for how long that is believed."""

from __future__ import annotations

import pickle
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from redis import Redis as Client

from embedded.services import Redis
from tests.api.asking import Asker
from tests.api.keystones import NO_PROJECT, UNKNOWN, Told, fill, held, saying, seen
from tests.openstack.lab import CloudLab
from tests.openstack.services import Answer, Services

pytestmark = pytest.mark.django_db


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


def test_a_token_is_not_believed_beyond_its_own_end(told: Told, pretender: Services) -> None:
    ends = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    with told(urls=(saying(pretender, held(expires_at=ends)),), cache_seconds=3_600):
        assert seen("a-short-token") == []
        saying(pretender, Answer("", 404))
        assert refused_in_the_end("a-short-token")


def test_an_expired_token_opens_nothing(cloud_lab: CloudLab, told: Told) -> None:
    """Of a trust, which ends with it: Keystone's own tokens last for an hour."""
    ids = {user["name"]: user["id"] for user in cloud_lab.call("GET", f"{cloud_lab.auth_url}/users").json()["users"]}
    trust = {
        "trustor_user_id": ids["ruth"],
        "trustee_user_id": ids["bert"],
        "project_id": cloud_lab.projects["red"],
        "impersonation": True,
        "roles": [{"name": "member"}],
        "expires_at": (datetime.now(UTC) + timedelta(seconds=6)).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
    }
    given = {"X-Auth-Token": cloud_lab.token("ruth", "red")}
    made = cloud_lab.call("POST", f"{cloud_lab.auth_url}/OS-TRUST/trusts", {"trust": trust}, headers=given).json()
    token = cloud_lab.token("bert", scope={"OS-TRUST:trust": {"id": made["trust"]["id"]}})
    with told():
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
