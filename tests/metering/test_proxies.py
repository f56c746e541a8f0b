"""What a proxy says of a request is believed of those that were named, and of nobody else."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings

from metering import environment, serving
from metering.access_settings import AccessSettings
from metering.errors import BadSetting
from metering.proxies import ProxyMiddleware

SAID = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "metering.example.org, inner",
    "X-Forwarded-Prefix": "/telemetry/",
    "X-Forwarded-For": "10.0.0.9, 192.0.2.7, 10.0.0.2",
}


def trusting(*proxies: str) -> AbstractContextManager[Any]:
    access = AccessSettings(trusted_proxies=tuple(map(ip_network, proxies)))
    hosts = ["testserver", "metering.example.org"]
    return override_settings(METERING=replace(settings.METERING, access=access), ALLOWED_HOSTS=hosts)


def base(address: str, headers: dict[str, str] = SAID) -> str:
    """The address that links start with, as the root document shows it to who comes from there."""
    answer = Client(REMOTE_ADDR=address).get("/", headers=headers).json()
    href: str = answer["versions"]["values"][0]["links"][0]["href"]
    return href.removesuffix("/v2")


def client_address(address: str, forwarded_for: str) -> str:
    seen: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse()

    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded_for}, REMOTE_ADDR=address)
    ProxyMiddleware(view)(request)
    return str(seen[0].META["REMOTE_ADDR"])


def test_a_named_proxy_says_by_which_address_the_api_is_called() -> None:
    with trusting("10.0.0.0/24", "::1"):
        for proxy in ("10.0.0.1", "::1"):
            assert base(proxy) == "https://metering.example.org/telemetry"
        assert base("10.0.0.1", {}) == "http://testserver"
        odd = {"X-Forwarded-Proto": "gopher", "X-Forwarded-Prefix": '/a"b'}
        assert base("10.0.0.1", odd) == "http://testserver"


def test_nobody_else_is_believed() -> None:
    assert base("127.0.0.1") == "http://testserver"
    with trusting("10.0.0.0/24"):
        for stranger in ("127.0.0.1", "10.0.1.1", "", "unix:", "::ffff:10.0.0.1"):
            assert base(stranger) == "http://testserver"


def test_a_host_that_is_not_ours_is_refused_whoever_says_it() -> None:
    with trusting("10.0.0.0/24"):
        response = Client(REMOTE_ADDR="10.0.0.1").get("/", headers={"X-Forwarded-Host": "evil.example.com"})
    assert response.status_code == 400


def test_the_client_is_the_last_stranger_in_the_line() -> None:
    with trusting("10.0.0.0/24"):
        assert client_address("10.0.0.1", "10.0.0.9, 192.0.2.7, 10.0.0.2") == "192.0.2.7"
        assert client_address("10.0.0.1", "192.0.2.7") == "192.0.2.7"
        assert client_address("10.0.0.1", "10.0.0.9") == "10.0.0.9"
        assert client_address("10.0.0.1", "192.0.2.7, what") == "10.0.0.1"
        assert client_address("192.0.2.1", "10.0.0.9") == "192.0.2.1"


def test_the_server_itself_believes_nobody() -> None:
    assert serving.forwarded_allow_ips == ""


def test_proxies_are_addresses_and_networks() -> None:
    told = environment.load({"METERING_TRUSTED_PROXIES": "10.0.0.1, fd00::/8"}).access
    assert told.trusted_proxies == (ip_network("10.0.0.1"), ip_network("fd00::/8"))
    for wrong in ("proxy.example.org", "10.0.0.1/24", "*"):
        with pytest.raises(BadSetting, match="METERING_TRUSTED_PROXIES"):
            environment.load({"METERING_TRUSTED_PROXIES": wrong})
