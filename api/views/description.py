"""``/v2/openapi.json`` and ``/v2/docs``: the API's own description, for programs and for people; open to everybody."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from drf_spectacular.generators import SchemaGenerator
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from api.media import JSONRenderer
from api.pages import header_of
from api.views.base import ApiView, base_url

# The page brings nothing from elsewhere, and asks nobody but us. Its styles are its script's own.
_ONLY_OURS = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@cache
def document() -> dict[str, Any]:
    """The whole API in OpenAPI's words, made once."""
    generator = SchemaGenerator(urlconf="api.urls")  # type: ignore[no-untyped-call] # theirs has no types
    return dict(generator.get_schema(request=None, public=True))  # type: ignore[no-untyped-call] # nor this


class OpenAPIView(ApiView):
    """The API in OpenAPI's words."""

    schema = None  # it does not describe itself
    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer,)

    def get(self, request: Request) -> Response:
        return Response({**document(), "servers": [{"url": base_url(request) or "/"}]})


class DocsView(ApiView):
    """The same on a page, from which each question can be asked."""

    schema = None
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> HttpResponse:
        page = render(request._request, "api/docs.html", header_of(request))
        page["Content-Security-Policy"] = _ONLY_OURS
        return page
