"""Every refusal of the API, in the shape and words that its clients know."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from psycopg2.errors import QueryCanceled
from rest_framework import status
from rest_framework.exceptions import APIException, NotFound
from rest_framework.response import Response

log = logging.getLogger(__name__)

RETRY_AFTER = 5  # seconds


class Fault(APIException):
    """An answer other than success: a status and a sentence that says why."""

    def __init__(self, faultstring: str, status_code: int = status.HTTP_400_BAD_REQUEST) -> None:
        super().__init__(faultstring)
        self.status_code = status_code


def invalid_input(field: str, value: object, reason: str) -> Fault:
    """400: a value that the field cannot have."""
    return Fault(f"Invalid input for field/attribute {field}. Value: '{value}'. {reason}")


def unknown_argument(name: str, reason: str = "") -> Fault:
    """400: a parameter or field that is not known here."""
    return Fault(f'Unknown argument: "{name}"' + (f": {reason}" if reason else ""))


def not_your_project(project_id: str) -> Fault:
    """401, as the original has it: a project that the caller may not see was named."""
    return Fault(f"Not Authorized to access project {project_id}", status.HTTP_401_UNAUTHORIZED)


def refused() -> Fault:
    """403: the policy does not let this caller ask this."""
    return Fault("RBAC Authorization Failed", status.HTTP_403_FORBIDDEN)


def missing(kind: str, name: str) -> Fault:
    """404: it is not there, or is another project's: the answer does not tell which."""
    return Fault(f"{kind} {name} Not Found", status.HTTP_404_NOT_FOUND)


def not_supported(feature: str) -> Fault:
    """501: known to the original's clients, and not offered."""
    return Fault(f"{feature} is not supported", status.HTTP_501_NOT_IMPLEMENTED)


def body(faultstring: str, status_code: int) -> dict[str, Any]:
    """The one form of an error's body."""
    faultcode = "Client" if status_code < status.HTTP_500_INTERNAL_SERVER_ERROR else "Server"
    return {"error_message": {"faultcode": faultcode, "faultstring": faultstring, "debuginfo": None}}


def answer(exc: Exception, context: dict[str, Any]) -> Response | None:
    """The response to any exception of a view; None leaves a fault of ours to `server_error`."""
    from rest_framework.views import exception_handler  # noqa: PLC0415 # it loads authenticators, which raise these

    if isinstance(exc.__cause__, QueryCanceled):
        text = f"The database did not answer within {settings.METERING.serving.timeout} s: ask for less at once"
        exc = Fault(text, status.HTTP_503_SERVICE_UNAVAILABLE)
    elif isinstance(exc, OperationalError | InterfaceError):
        log.error("the database does not answer: %s", exc)
        exc = Fault("The database does not answer", status.HTTP_503_SERVICE_UNAVAILABLE)
    elif isinstance(exc, SuspiciousOperation):
        exc = Fault(f"The request is refused: {exc}")
    elif isinstance(exc, Http404):
        exc = NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = refused()
    response = exception_handler(exc, context)
    if response is None or not isinstance(exc, APIException):
        return None
    response.data = body(str(exc.detail), response.status_code)
    if response.status_code == status.HTTP_503_SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER)
    return response


def server_error(request: HttpRequest) -> JsonResponse:
    """What Django answers when a view failed: it has logged the traceback, which is nobody else's business."""
    return JsonResponse(body("Internal Server Error", 500), status=500)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """What Django answers to a request that it refuses before any view sees it."""
    return JsonResponse(body("Bad Request", 400), status=400)
