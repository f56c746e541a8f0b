"""What all views share: who calls, with which parameters, and in which shape they refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from api import policy_file, rate
from api.arguments import Arguments
from api.described import Answer
from api.errors import refused
from api.filters import Fields
from metering.models import Caller

LIMIT = 100  # rows of a listing that asks for no number


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

    def arguments(self) -> Arguments:
        """The request's parameters. Raises a 400 for one that this view does not take."""
        return Arguments.of(self.request, self.parameters(self.request.method or ""))


def listing(serializer: type[BaseSerializer[Any]], rows: Iterable[Any], **context: Any) -> Response:
    """All these rows, each in the serializer's form."""
    return Response(serializer(rows, many=True, context=context).data)


def base_url(request: Request) -> str:
    """Scheme, host and prefix that this service was called by, without a slash at the end."""
    return f"{request.scheme}://{request.get_host()}{request.META['SCRIPT_NAME']}".rstrip("/")
