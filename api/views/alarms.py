"""``/v2/alarms``: not here. Who has an alarming service is led to it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.encoding import escape_uri_path
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Fault
from api.views.base import LedgerView

GONE = "Alarms are not served here, and no alarming service is known (METERING_ALARMING_URL)"


class AlarmsView(LedgerView):
    """Alarms, whatever the method: 307 to the same address of the alarming service, or 410."""

    rule = "telemetry:alarms"
    schema = None  # the alarming service describes them

    def _elsewhere(self, request: Request, **_: Any) -> Response:
        url: str | None = settings.METERING.serving.alarming_url
        if url is None:
            raise Fault(GONE, status.HTTP_410_GONE)
        asked = request._request
        query = asked.META.get("QUERY_STRING", "")
        location = f"{url.rstrip('/')}{escape_uri_path(asked.path_info)}{'?' if query else ''}{query}"
        return Response(status=status.HTTP_307_TEMPORARY_REDIRECT, headers={"Location": location})

    get = post = put = patch = delete = _elsewhere
