"""How often somebody may ask, each for himself. A minute may end within a test: of more than twice as many requests as
are allowed some are refused all the same, and of one alone none.
"""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client, override_settings

from api import checks
from embedded.services import free_port
from metering.access_settings import AccessSettings, KeystoneSettings
from tests.api import asking
from tests.factories import token
from tests.openstack.services import Answer, Services

pytestmark = pytest.mark.django_db

MOST = 3
_addresses = (f"10.9.{number // 250}.{number % 250}" for number in itertools.count())


def limited(**more: Any) -> AbstractContextManager[Any]:
    return override_settings(METERING=replace(settings.METERING, access=AccessSettings(rate=MOST, **more)))


def statuses(client: Client, text: str | None = None, times: int = 2 * MOST + 1) -> list[int]:
    """What so many requests with this token are answered with; a refusal must say when to come again."""
    headers = {} if text is None else {"X-Auth-Token": text}
    answered = []
    for _ in range(times):
        response = client.get("/v2/meters", headers=headers)
        if response.status_code == 429:
            assert asking.refusal(response)[1].startswith("Request was throttled.")
            assert 1 <= int(response["Retry-After"]) <= 60
        answered.append(response.status_code)
    return answered


def somewhere() -> Client:
    """Somebody at an address that no other test uses."""
    return Client(REMOTE_ADDR=next(_addresses))


def test_each_caller_has_a_rate_of_his_own() -> None:
    address = somewhere()
    with limited():
        for text in (token("red"), token("red"), token()):
            answered = statuses(address, text)
            assert answered[:MOST] == [200] * MOST
            assert 429 in answered
    assert statuses(address, text) == [200] * (2 * MOST + 1)


def test_a_browser_has_one_too() -> None:
    browser = somewhere()
    browser.force_login(User.objects.create_user("rated", is_staff=True))
    with limited():
        assert {200, 429} == set(statuses(browser))


def test_requests_without_a_token_that_opens_are_counted_by_address() -> None:
    first, second = somewhere(), somewhere()
    with limited():
        for text in (None, "wrong"):
            assert {401, 429} == set(statuses(somewhere(), text))
        statuses(first)
        assert statuses(second, times=1) == [401]
        assert {200, 429} == {first.get("/").status_code for _ in range(2 * MOST + 1)} | {200}
        assert statuses(first, token("red"), 1) == [200]  # he is known, whatever his neighbours do


def test_keystone_is_asked_no_more_for_who_sends_wrong_tokens() -> None:
    services = Services()
    issued = Answer({"token": {"expires_at": "2100-01-01T00:00:00Z"}}, 201, {"X-Subject-Token": "ours"})
    services.change("/v3/auth/tokens", lambda asked: issued if asked.method == "POST" else Answer("", 404))
    client = somewhere()
    with limited(keystone=KeystoneSettings((services.url,), "nephometer", "a password")):
        answered = [statuses(client, f"guess-{number}", 1)[0] for number in range(10)]
    assert {401, 429} == set(answered)
    assert [asked.method for asked in services.asked].count("GET") == answered.count(401)
    services.close()


def test_without_redis_everybody_is_let_through_and_that_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    away = {"default": {**settings.CACHES["default"], "LOCATION": f"redis://127.0.0.1:{free_port()}/0"}}
    with limited(), override_settings(CACHES=away):
        assert set(statuses(somewhere(), token("red"))) == {200}
        assert set(statuses(somewhere())) == {401}
    assert [record.name for record in caplog.records if "cache" in record.message] == ["metering.cache"]


def test_a_rate_that_each_process_counts_alone_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERING_API_RATE", "600")
    assert checks.the_rate_is_counted_together() == []
    monkeypatch.delenv("METERING_CACHE_URL")
    [warning] = checks.the_rate_is_counted_together()
    assert warning.id == "metering.W007"
