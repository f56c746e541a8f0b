"""Whose a token of Keystone's is: asked of Keystone, and remembered in the cache for a bounded time.

What is remembered is signed with our own key, so that whoever writes to Redis cannot say who is an admin; and it is
found by a keyed hash of the token, so that whoever reads there finds no token.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core import signing
from django.utils.crypto import salted_hmac
from rest_framework import status

from api import policy_file
from api.errors import Fault
from metering import cache
from metering.access_settings import KeystoneSettings
from metering.errors import KeystoneAway
from metering.keystone import Holder, Keystone
from metering.models import Caller

UNKNOWN_SECONDS = 10  # a token that Keystone does not know is not asked for again so long
_SALT = "nephometer.keystone"
_TOKEN = re.compile(r"[!-~]{1,8192}")  # what can stand in a header and be one


def caller_of(token: str, before_asking: Callable[[], None]) -> Caller | None:
    """Who holds it; None when Keystone knows no such token, or there is none to ask.

    What comes ``before_asking`` is done only when nothing is remembered, and may refuse. Raises a 503 when Keystone
    cannot say, and a 403 for a token of no project that is no admin's of the whole system.
    """
    told: KeystoneSettings | None = settings.METERING.access.keystone
    if told is None or not _TOKEN.fullmatch(token):
        return None
    holder = _holder(token, told, before_asking)
    return None if holder is None else _caller(holder)


def _caller(holder: Holder) -> Caller:
    caller = Caller(holder.user_id, holder.project_id, roles=holder.roles)
    # The admin of a domain is nobody to other domains.
    scoped = holder.project_id is not None or holder.is_system
    is_admin = scoped and policy_file.current().sees_all(caller)
    if holder.project_id is None and not is_admin:
        raise Fault("The token is scoped to no project: there is nothing that it opens", status.HTTP_403_FORBIDDEN)
    return replace(caller, is_admin=is_admin)


def _holder(token: str, told: KeystoneSettings, before_asking: Callable[[], None]) -> Holder | None:
    key = f"keystone:{salted_hmac(_SALT, token, algorithm='sha256').hexdigest()}"
    known, holder = _remembered(key, told.cache_seconds)
    if known:
        return holder
    before_asking()
    try:
        holder = _keystone(told).holder(token)
    except KeystoneAway as exc:
        raise Fault("Keystone does not answer", status.HTTP_503_SERVICE_UNAVAILABLE) from exc
    _remember(key, holder, told.cache_seconds)
    return holder


def _remember(key: str, holder: Holder | None, seconds: float) -> None:
    if holder is None:
        seconds = min(seconds, UNKNOWN_SECONDS)
    else:
        seconds = min(seconds, (holder.expires - datetime.now(UTC)).total_seconds())
    if seconds >= 1:
        parts = None if holder is None else asdict(holder) | {"expires": holder.expires.isoformat()}
        cache.put(key, signing.dumps(parts, salt=key), seconds)


def _remembered(key: str, seconds: int) -> tuple[bool, Holder | None]:
    """Whether Keystone's answer is known, and the answer."""
    text: Any = cache.get(key) if seconds else None
    if not isinstance(text, str):
        return False, None
    try:
        parts = signing.loads(text, salt=key, max_age=seconds)  # as old as our settings, not as Redis, allow
    except signing.BadSignature:
        return False, None
    if parts is None:
        return True, None
    expires = datetime.fromisoformat(parts.pop("expires"))
    holder = Holder(**parts | {"roles": tuple(parts["roles"])}, expires=expires)
    return expires > datetime.now(UTC), holder


@lru_cache(maxsize=1)
def _keystone(told: KeystoneSettings) -> Keystone:
    """One for the process: its tokens and connections serve every request."""
    return Keystone(told)
