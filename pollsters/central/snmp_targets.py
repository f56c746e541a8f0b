"""The machines that are asked over SNMP, as METERING_SNMP_TARGETS names them. Pure Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

PORT = 161
AUTHENTICATIONS = ("md5", "sha", "sha224", "sha256", "sha384", "sha512")
ENCRYPTIONS = ("des", "3des", "aes", "aes192", "aes256")
_KEYS = ("auth_proto", "priv_proto", "priv_password")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A community (version 2c), or a user (version 3) when it has a password."""

    name: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    authentication: str = "md5"
    encryption: str | None = None
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """One machine."""

    host: str
    port: int
    credentials: Credentials

    @property
    def url(self) -> str:
        """Where it is, without what opens it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"snmp://{host}:{self.port}"


def parse(text: str) -> dict[str, Target]:
    """Targets by URL, from a list with commas, blanks or lines; a line's rest after # is no more than a remark.

    Raises `ValueError`, which says which target is wrong and shows no secret.
    """
    targets: dict[str, Target] = {}
    for number, told in enumerate(_listed(text), 1):
        target = _target(f"target {number}", told)
        if target.url in targets:
            raise ValueError(f"target {number}: {target.url} comes twice")
        targets[target.url] = target
    return targets


def _listed(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from (told for told in re.split(r"[,\s]+", re.sub(r"(^|\s)#.*", "", line)) if told)


def _target(label: str, told: str) -> Target:
    try:
        parts = urlsplit(told)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{label}: its host or port cannot be read") from None
    if parts.scheme != "snmp" or not host:
        raise ValueError(f"{label}: it must be snmp://community@host:port or snmp://user:password@host:port?…")
    return Target(host, port or PORT, _credentials(f"{label} ({host})", parts.username, parts.password, parts.query))


def _credentials(label: str, user: str | None, password: str | None, query: str) -> Credentials:
    told = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := [key for key in told if key not in _KEYS]:
        raise ValueError(f"{label}: unknown key {unknown[0][:40]!r} (known: {', '.join(_KEYS)})")
    name = unquote(user or "public")
    if password is None:
        if told:
            raise ValueError(f"{label}: {', '.join(told)} need a user with a password")
        return Credentials(name)
    authentication = told.get("auth_proto", "md5")
    key = told.get("priv_password")
    encryption = told.get("priv_proto", "aes" if key else None)
    if authentication not in AUTHENTICATIONS:
        raise ValueError(f"{label}: auth_proto must be one of {', '.join(AUTHENTICATIONS)}")
    if encryption is not None and encryption not in ENCRYPTIONS:
        raise ValueError(f"{label}: priv_proto must be one of {', '.join(ENCRYPTIONS)}")
    if (key is None) != (encryption is None):
        raise ValueError(f"{label}: priv_proto needs priv_password")
    if len(unquote(password)) < 8 or (key is not None and len(key) < 8):
        raise ValueError(f"{label}: SNMP's passwords have at least 8 characters")
    return Credentials(name, unquote(password), authentication, encryption, key)
