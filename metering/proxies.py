"""What a proxy in front says of a request, believed of the proxies that were named and of nobody else.

No header says who is calling: to put X-Project-Id or X-Roles into a request is what any client can do.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, MutableMapping
from typing import Any

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.urls import set_script_prefix

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


class ProxyMiddleware:
    """Puts scheme, host, prefix and the client's address in place, as METERING_TRUSTED_PROXIES have seen them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._next = get_response
        self._trusted = settings.METERING.access.trusted_proxies
        if not self._trusted:
            raise MiddlewareNotUsed

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if self._is_trusted(request.META.get("REMOTE_ADDR", "")):
            self._believe(request.META)
            prefix = request.META.get("HTTP_X_FORWARDED_PREFIX", "").rstrip("/")
            if _PREFIX.fullmatch(prefix):
                request.META["SCRIPT_NAME"] = prefix
                request.path = prefix + request.path_info
                set_script_prefix(f"{prefix}/")
        return self._next(request)

    def _believe(self, meta: MutableMapping[str, Any]) -> None:
        scheme = _first(meta, "HTTP_X_FORWARDED_PROTO")
        if scheme in ("http", "https"):
            meta["wsgi.url_scheme"] = scheme
        host = _first(meta, "HTTP_X_FORWARDED_HOST")
        if host:
            meta["HTTP_HOST"] = host  # which must be one of METERING_ALLOWED_HOSTS, like any
        # Each proxy appends who asked it: whatever stands left of the first stranger, he may have written himself.
        for address in reversed(meta.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            if not _is_address(address.strip()):
                break
            meta["REMOTE_ADDR"] = address.strip()
            if not self._is_trusted(address.strip()):
                break

    def _is_trusted(self, address: str) -> bool:
        return _is_address(address) and any(ipaddress.ip_address(address) in network for network in self._trusted)


def _first(meta: MutableMapping[str, Any], name: str) -> str:
    text: str = meta.get(name, "")
    return text.partition(",")[0].strip()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
