"""What all views share: who calls, with which parameters, and in which shape they refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any, ClassVar, cast

from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from api import policy_file, rate
from api.arguments import Arguments
from api.deadline import deadline
from api.described import Answer
from api.errors import refused
from api.filters import Fields
from api.listing import Listing, answer
from api.media import JSONRenderer
from api.pages import PageRenderer
from api.streams import CSVRenderer, NDJSONRenderer, StreamRenderer
from metering.models import Caller

LIMIT: int = settings.METERING.serving.limit  # rows of a listing in JSON that asks for no number
VARY = ("Accept", "X-Auth-Token", "Authorization", "Cookie")  # what an answer depends on beside its address


class ApiView(APIView):
    """Any view of the API. ``answers`` says for each method what it answers with."""

    answers: ClassVar[Mapping[str, Answer]] = {}

    @classmethod
    def parameters(cls, method: str) -> frozenset[str]:
        """The names of what the URL may hold."""
        return frozenset()

    @property
    def allowed_methods(self) -> list[str]:
        """What the Allow header says; the original's never named HEAD and OPTIONS."""
        return [method for method in super().allowed_methods if method not in ("HEAD", "OPTIONS")]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        try:
            super().initial(request, *args, **kwargs)
        except (NotAuthenticated, AuthenticationFailed):
            rate.take_refused(request)
            raise
        rate.take(request)


class LedgerView(ApiView):
    """A view on what is stored, for a caller who is known. ``known`` are the parameters it takes, ``knowns``
    those of methods that take others, and ``fields`` what a query of them may be about.

    ``rule`` is the rule of the policy file that a caller must pass, ``rules`` those of methods that have another one.
    """

    known: ClassVar[frozenset[str]] = frozenset()
    knowns: ClassVar[Mapping[str, frozenset[str]]] = {}
    fields: ClassVar[Fields]
    rule: ClassVar[str] = ""
    rules: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        if not cls.rule:
            raise TypeError(f"{cls.__name__} names no rule of the policy (api/policy.yaml)")
        return super().as_view(**initkwargs)

    @classmethod
    def parameters(cls, method: str) -> frozenset[str]:
        return cls.knowns.get(method, cls.known)

    @property
    def caller(self) -> Caller:
        return cast("Caller", self.request.user)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not policy_file.current().allows(self.rules.get(request.method or "", self.rule), self.caller):
            raise refused()
        if "\0" in request.path:
            raise NotFound("Nothing has a NUL in its name")  # and PostgreSQL would not even look

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with deadline():
            return super().dispatch(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        if isinstance(response, Response) and isinstance(getattr(request, "accepted_renderer", None), StreamRenderer):
            request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        final = super().finalize_response(request, response, *args, **kwargs)
        patch_vary_headers(final, VARY)
        if request.method == "GET" and final.status_code == status.HTTP_200_OK:
            final["Cache-Control"] = "private, no-cache"  # to be kept only by who asked, and not used unasked
            if isinstance(final, Response) and request.accepted_renderer.format == "json":
                final.add_post_render_callback(partial(conditional, request._request))
        return final

    def arguments(self) -> Arguments:
        """The request's parameters. Raises a 400 for one that this view does not take."""
        return Arguments.of(self.request, self.parameters(self.request.method or ""))


class ListingView(LedgerView):
    """Rows of one kind: a page of them, or all as a stream."""

    renderer_classes = (JSONRenderer, PageRenderer, CSVRenderer, NDJSONRenderer)

    def answer(self, found: Listing, arguments: Arguments) -> Response | StreamingHttpResponse:
        """These rows, as the request wants them."""
        return answer(self.request, found, arguments, limit=LIMIT)


def conditional(request: HttpRequest, response: Response) -> HttpResponseBase | None:
    """Name what was answered by its content; nothing is sent to who has it already."""
    tag = f'"{blake2b(response.content, digest_size=16).hexdigest()}"'
    response["ETag"] = tag
    return get_conditional_response(request, etag=tag, response=response)


def listing(serializer: type[BaseSerializer[Any]], rows: Iterable[Any], **context: Any) -> Response:
    """All these rows, each in the serializer's form."""
    return Response(serializer(rows, many=True, context=context).data)


def base_url(request: Request) -> str:
    """Scheme, host and prefix that this service was called by, without a slash at the end."""
    return f"{request.scheme}://{request.get_host()}{request.META['SCRIPT_NAME']}".rstrip("/")
