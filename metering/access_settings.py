"""What a process is told of who may use the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from metering.errors import BadSetting
from metering.setting_reader import Reader


@dataclass(frozen=True, slots=True)
class KeystoneSettings:
    """Where tokens are validated, and as whom."""

    urls: tuple[str, ...]  # of the identity API, with or without /v3; asked in this order
    user: str = ""
    password: str = field(default="", repr=False)
    project: str = "service"
    user_domain: str = "Default"
    project_domain: str = "Default"
    ca_file: Path | None = None  # None: those that certifi has
    insecure: bool = False  # its certificate is not looked at
    timeout: int = 5  # seconds that one request of a client may wait, whatever the number of URLs
    cache_seconds: int = 60  # how long an answer is believed; 0: asked every time


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Nothing told, the policy is ours and tokens are our own."""

    policy_file: Path | None = None  # laid over api/policy.yaml
    keystone: KeystoneSettings | None = None
    rate: int = 0  # requests a minute of one caller; 0: as many as he likes
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()  # whose X-Forwarded-… headers are believed


def read(read: Reader) -> AccessSettings:
    """All of it. Raises `BadSetting`."""
    return AccessSettings(
        policy_file=read.path("METERING_POLICY_FILE"),
        keystone=_keystone(read),
        rate=read.number("METERING_API_RATE", 0, 0, 1_000_000),
        trusted_proxies=tuple(map(_network, read.names("METERING_TRUSTED_PROXIES"))),
    )


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as exc:
        raise BadSetting(
            f"METERING_TRUSTED_PROXIES must be addresses, or networks as 10.0.0.0/24, not {text!r}"
        ) from exc


def _keystone(read: Reader) -> KeystoneSettings | None:
    urls = read.names("METERING_KEYSTONE_URLS")
    if not urls:
        return None
    return KeystoneSettings(
        urls=urls,
        user=read.text("METERING_KEYSTONE_USER") or "",
        password=read.text("METERING_KEYSTONE_PASSWORD") or "",
        project=read.text("METERING_KEYSTONE_PROJECT") or "service",
        user_domain=read.text("METERING_KEYSTONE_USER_DOMAIN") or "Default",
        project_domain=read.text("METERING_KEYSTONE_PROJECT_DOMAIN") or "Default",
        ca_file=read.path("METERING_KEYSTONE_CA"),
        insecure=read.flag("METERING_KEYSTONE_INSECURE"),
        timeout=read.number("METERING_KEYSTONE_TIMEOUT", 5, 1, 60),
        cache_seconds=read.number("METERING_KEYSTONE_CACHE_SECONDS", 60, 0, 3_600),
    )
