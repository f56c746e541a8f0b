"""Who is calling. No header that a client can write says so, except one that only a token's holder knows."""

from __future__ import annotations

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from api import keystone, rate
from metering.models import Caller, Token
from metering.models.access import OF_ADMINS


class TokenAuthentication(BaseAuthentication):
    """A token of our own, or of Keystone's where there is one to ask.

    It comes in ``X-Auth-Token``, as OpenStack's clients send it, or as ``Authorization: Bearer``. A service's token
    beside it (``X-Service-Token``) changes nothing.
    """

    def authenticate(self, request: Request) -> tuple[Caller, Token | None] | None:
        text = _token_text(request)
        if not text:
            return None
        token = Token.objects.valid(text)
        if token is not None:
            token.note_use()
            return token.caller, token
        caller = keystone.caller_of(text, lambda: rate.check_refused(request))
        if caller is None:
            raise AuthenticationFailed("The token is unknown, expired or revoked")
        return caller, None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="nephometer"'  # without it a missing token would be a 403


def _token_text(request: Request) -> str:
    given: str = request.headers.get("X-Auth-Token", "")
    if not given:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        given = text if scheme.lower() == "bearer" else ""
    return given.strip()


class AdminSessionAuthentication(SessionAuthentication):
    """A browser that is logged in to the admin: its staff user sees every project."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        user = getattr(request._request, "user", None)  # as the class above reads it
        if not isinstance(user, User) or not user.is_active or not user.is_staff:
            return None
        self.enforce_csrf(request)
        return Caller(user_id=user.get_username(), project_id=None, is_admin=True, roles=OF_ADMINS), None
