"""A Keystone that does not answer, or not as it should: its tokens open nothing, nobody waits long, and ours go on."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from api import checks
from embedded.services import free_port
from metering import keystone
from metering.access_settings import KeystoneSettings
from metering.doctor import keystone as doctor
from tests.api import asking
from tests.api.asking import Asker
from tests.api.keystones import AWAY, UNKNOWN, Told, fill, held, saying, seen
from tests.collector.certificates import Authority
from tests.openstack.keystone_server import PASSWORD
from tests.openstack.lab import CloudLab
from tests.openstack.services import Answer, Services

pytestmark = pytest.mark.django_db


def test_the_first_url_that_answers_is_asked(cloud_lab: CloudLab, told: Told, pretender: Services) -> None:
    fill(cloud_lab)
    dead = f"http://127.0.0.1:{free_port()}"
    broken = saying(pretender, Answer("no", 500))
    with told(urls=(dead, broken, cloud_lab.auth_url.removesuffix("/v3")), timeout=30):
        assert seen(cloud_lab.token("ruth", "red")) == ["red"]
        assert Asker("nobody-else-s-token").refusal("/v2/resources") == UNKNOWN  # which no other test had remembered
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


def test_keystone_must_prove_its_name_unless_told_otherwise(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certify("localhost"))
    services = Services(tls=context)
    url = saying(services, held()).replace("127.0.0.1", "localhost")
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 503),
        ({"ca_file": authority.file}, 200),
        ({"insecure": True}, 200),
        ({"ca_file": tmp_path}, 503),
    ]
    for number, (more, status) in enumerate(cases):
        with told(urls=(url,), **more):
            assert Asker(f"token-{number}").get("/v2/resources").status_code == status
    services.close()
    monkeypatch.setenv("METERING_KEYSTONE_URLS", url)
    monkeypatch.setenv("METERING_KEYSTONE_INSECURE", "1")
    assert [warning.id for warning in checks.keystone_proves_who_it_is()] == ["metering.W008"]


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
