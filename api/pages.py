"""The API's answers on a page: a form of what can be asked, the answer as a table, and the way to everything else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from django.contrib.auth import get_user
from django.middleware.csrf import get_token
from django.template import loader
from django.urls import Resolver404, resolve, reverse
from django.utils.http import urlencode
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from api.blanks import without_blanks
from api.media import JSONRenderer
from api.page_form import form_of
from api.page_table import table_of

SECTIONS = ("meters", "resources", "samples", "events", "event_types", "usage", "polls", "capabilities")
ONLY_OURS = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_NEXT = re.compile(r'<([^<>]*)>\s*;\s*rel="?next"?')


class PageRenderer(BaseRenderer):
    """HTML for a browser. It needs no script, and nothing from elsewhere."""

    media_type = "text/html"
    format = "html"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        told = renderer_context or {}
        response: Response = told["response"]
        response["Content-Security-Policy"] = ONLY_OURS
        context = page_of(data, told["view"], told["request"], response)
        page = loader.render_to_string("api/page.html", context, request=told["request"]._request)
        return page.encode(errors="backslashreplace")  # metadata may hold a lone surrogate


def page_of(data: Any, view: Any, request: Request, response: Response) -> dict[str, Any]:
    """What the template shows."""
    text = JSONRenderer().render(data, renderer_context={"indent": 2}).decode()
    answer: Any = json.loads(text) if text else None
    failed = isinstance(answer, dict) and "error_message" in answer
    match = request._request.resolver_match
    route = (match.url_name if match else None) or ""
    asked = without_blanks({name: list(values) for name, values in request.query_params.lists()})
    fields = getattr(view, "fields", None)
    return {
        "title": " / ".join(name for name, _ in crumbs(request)) or "Versions",
        "about": (view.__doc__ or "").strip().partition("\n\n")[0],
        "crumbs": crumbs(request),
        "form": form_of(view.parameters("GET"), getattr(view, "own", {}), fields, asked)
        if hasattr(view, "get")
        else None,
        "asked": urlencode(sorted(asked.items()), doseq=True),
        "status": response.status_code,
        "fault": answer["error_message"]["faultstring"] if failed else None,
        "table": None if failed else table_of(answer, route),
        "count": len(answer) if isinstance(answer, list) else None,
        "json": text,
        "posts": hasattr(view, "post") and view.schema is not None,
        "next": _next_page(response),
        "statistics": reverse("statistics", kwargs=match.kwargs) if match and route == "meter" else None,
        **header_of(request),
    }


def header_of(request: Request) -> dict[str, Any]:
    """What the head of every page shows. Only a session can be ended; a token is not ours to forget."""
    match = request._request.resolver_match
    route = match.url_name if match else None
    user = request.user or get_user(request._request)  # what everybody may see asks nobody who he is
    has_session = request.auth is None and user.is_authenticated
    return {
        "user": user,
        "sections": [(name.replace("_", " ").capitalize(), reverse(name), name == route) for name in SECTIONS],
        "is_docs": route == "docs",
        "csrf": get_token(request._request) if has_session else None,
    }


def _next_page(response: Response) -> str | None:
    found = _NEXT.search(response.get("Link", ""))
    return found[1] if found else None


def crumbs(request: Request) -> list[tuple[str, str]]:
    """The parts of the address, each with its own; "" where there is nothing at it."""
    return list(_crumbs(request))


def _crumbs(request: Request) -> Iterator[tuple[str, str]]:
    match = request._request.resolver_match
    whole = match.kwargs.get("resource_id") if match else None  # one part, whatever slashes it has
    script, path = request.META["SCRIPT_NAME"], request._request.get_full_path_info().partition("?")[0]
    parts = [part for part in path.split("/") if part]
    if whole is not None:
        parts = [*parts[:2], "/".join(parts[2:])]
    for count, part in enumerate(parts, 1):
        place = "/" + "/".join(parts[:count])
        if count == 1 and part in ("v1", "v2"):
            continue
        yield unquote(part), script + place if _leads(place) else ""


def _leads(place: str) -> bool:
    try:
        return resolve(unquote(place)).url_name is not None
    except Resolver404:
        return False
