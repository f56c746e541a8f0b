"""Pages of other origins that may read the API: those that the operator names, and no others (CORS)."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

METHODS = "GET, POST, PUT, PATCH, DELETE"
HEADERS = "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Auth-Token"
EXPOSED = "ETag, Link, Location, Retry-After"
MAX_AGE = "3600"  # seconds for which a browser need not ask again

_OURS = ("/admin/", "/static/")  # what is no API: its pages are for its own origin


class CorsMiddleware:
    """Answers a preflight, which carries no token, and tells browsers who may read an answer.

    No cookie is let in: who asks from another page needs a token.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(_OURS):
            return self._get_response(request)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response: HttpResponseBase = HttpResponse(status=200)
            self._mark(request, response, {"Methods": METHODS, "Headers": HEADERS})
            return response
        response = self._get_response(request)
        self._mark(request, response, {})
        return response

    def _mark(self, request: HttpRequest, response: HttpResponseBase, allowed: dict[str, str]) -> None:
        origins: tuple[str, ...] = settings.METERING.serving.cors_origins
        if not origins:
            return
        patch_vary_headers(response, ["Origin"])
        origin = request.headers.get("Origin", "")
        if origin not in origins and "*" not in origins:
            return
        response["Access-Control-Allow-Origin"] = "*" if "*" in origins else origin
        if allowed:
            response["Access-Control-Max-Age"] = MAX_AGE
        else:
            response["Access-Control-Expose-Headers"] = EXPOSED
        for name, value in allowed.items():
            response[f"Access-Control-Allow-{name}"] = value
