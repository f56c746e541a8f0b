"""TLS to a RabbitMQ, told in its URL with RabbitMQ's own names of these options. Pure Python.

    amqps://metering:…@rabbit.example.org/?cacertfile=/etc/ssl/cloud-ca.pem

``cacertfile`` (the machine's own authorities when it is not given), ``certfile`` and ``keyfile`` of a client's
certificate, ``server_name_indication`` for a certificate of another name, ``verify=verify_none`` to believe anybody.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from metering.errors import BadSetting

OPTIONS = ("cacertfile", "certfile", "keyfile", "server_name_indication", "verify")


def split(setting: str, url: str) -> tuple[str, dict[str, Any] | None]:
    """A URL without its options, and what py-amqp is told of TLS: None where the URL wants none.

    Of several brokers in one URL (with semicolons) the first one's options are everybody's. What is not
    RabbitMQ's comes back as it is. Raises `BadSetting`, which names the setting and the host.
    """
    brokers = [urlsplit(part) for part in url.split(";")]
    first = brokers[0]
    if first.scheme not in {"amqp", "amqps"}:
        return url, None
    try:
        options = dict(parse_qsl(first.query))
        told = _told(options, [broker.hostname for broker in brokers]) if first.scheme == "amqps" else None
        if options and told is None:
            raise BadSetting("options in a URL are those of TLS, which begins with amqps://")
    except BadSetting as exc:
        raise BadSetting(f"{setting}: {first.hostname}: {exc}") from None
    return ";".join(broker._replace(query="").geturl() for broker in brokers), told


def _told(options: Mapping[str, str], hosts: list[str | None]) -> dict[str, Any]:
    for name, value in options.items():
        if name not in OPTIONS:
            raise BadSetting(f"there is no option {name!r}, only {', '.join(OPTIONS)}")
        if name.endswith("file") and not Path(value).is_file():
            raise BadSetting(f"{name} {value!r} is no file")
    if "keyfile" in options and "certfile" not in options:
        raise BadSetting("a keyfile needs its certfile")
    told: dict[str, Any] = {name: options[name] for name in ("certfile", "keyfile") if name in options}
    verify = options.get("verify", "verify_peer")
    if verify == "verify_none":
        return told | {"cert_reqs": ssl.CERT_NONE}
    if verify != "verify_peer":
        raise BadSetting(f"verify is verify_peer or verify_none, not {verify!r}")
    peer = options.get("server_name_indication") or hosts[0]
    if len(hosts) > 1 and "server_name_indication" not in options:
        raise BadSetting("several brokers in one URL need server_name_indication, a name that all certificates have")
    return told | {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": peer, "ca_certs": options.get("cacertfile")}
