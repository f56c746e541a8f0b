"""How often somebody may ask: so many requests in each minute of the clock, counted in the cache for all processes."""

from __future__ import annotations

import hashlib
import time

from django.conf import settings
from rest_framework.exceptions import Throttled
from rest_framework.request import Request

from metering import cache
from metering.models import Caller, Token

MINUTE = 60  # seconds


def take(request: Request) -> None:
    """Count a request of a caller who is known, or else of an address. Raises a 429 when there were too many."""
    _take(_caller(request) or _address(request))


def take_refused(request: Request) -> None:
    """Count a request that had no token, or a wrong one. Raises a 429 when the address made too many."""
    _take(_address(request))


def check_refused(request: Request) -> None:
    """Raises a 429 for an address from which too many such requests came: Keystone is asked no more for it."""
    most: int = settings.METERING.access.rate
    if most and (cache.get(_key(_address(request))) or 0) >= most:
        raise _too_many()


def _take(who: str) -> None:
    most: int = settings.METERING.access.rate
    if most and (cache.count(_key(who), MINUTE) or 0) > most:
        raise _too_many()


def _too_many() -> Throttled:
    return Throttled(wait=MINUTE - time.time() % MINUTE)


def _caller(request: Request) -> str | None:
    """One name for each token of ours, each user in each project of Keystone's, and each user of the admin."""
    caller = request.user
    if not isinstance(caller, Caller):
        return None
    token = request.auth
    return f"token {token.pk}" if isinstance(token, Token) else f"{caller.user_id} in {caller.project_id}"


def _address(request: Request) -> str:
    return f"address {request.META.get('REMOTE_ADDR', '')}"


def _key(who: str) -> str:
    return f"rate:{int(time.time() // MINUTE)}:{hashlib.sha256(who.encode(errors='replace')).hexdigest()}"
