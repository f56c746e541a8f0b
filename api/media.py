"""JSON in and out, and which form of an answer a request asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any

import orjson
from rest_framework import status
from rest_framework.exceptions import NotAcceptable, ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from api.errors import Fault
from api.rows import json_bytes

MOST_BYTES = 1 << 20  # of a request's body


class JSONParser(BaseParser):
    """JSON that is really JSON: no NaN, no lone surrogates, not deeper than 1,024."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        text = stream.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            too_long = f"The body of the request is longer than {MOST_BYTES} bytes"
            raise Fault(too_long, status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)
        try:
            return orjson.loads(text)
        except ValueError as exc:
            raise ParseError(f"The body of the request is not JSON: {exc}") from exc


class JSONRenderer(BaseRenderer):
    """JSON by orjson; indented where a page shows it."""

    media_type = "application/json"
    format = "json"
    charset = "UTF-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        return json_bytes(data, indented=bool((renderer_context or {}).get("indent")))


class Preference(BaseContentNegotiation):
    """The form that the Accept header likes best; JSON when it does not care."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        kinds = request.content_type or ""
        return next((parser for parser in parsers if kinds.partition(";")[0].strip() == parser.media_type), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> tuple[Any, str]:
        by_type = {renderer.media_type: renderer for renderer in renderers}
        if not request.headers.get("Accept", "").strip():
            return next((renderer, media_type) for media_type, renderer in by_type.items())
        preferred = request._request.get_preferred_type(list(by_type))  # Django's own reading of it
        if preferred is None:
            raise NotAcceptable(available_renderers=[*by_type.values()])
        return by_type[preferred], preferred
