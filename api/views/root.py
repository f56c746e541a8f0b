"""What everybody may see: the versions, and that nothing else is here."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from api.described import Answer
from api.views.base import ApiView, base_url

_MEDIA = "application/vnd.openstack.telemetry-v2"


class VersionsView(ApiView):
    """The versions of the API that are served here."""

    answers = {"GET": Answer("Versions")}

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        v2 = {
            "id": "v2",
            "status": "stable",
            "updated": "2013-02-13T00:00:00Z",
            "links": [
                {"href": f"{base_url(request)}/v2", "rel": "self"},
                {"href": "http://docs.openstack.org/", "rel": "describedby", "type": "text/html"},
            ],
            "media-types": [
                {"base": "application/json", "type": f"{_MEDIA}+json"},
                {"base": "application/xml", "type": f"{_MEDIA}+xml"},
            ],
        }
        return Response({"versions": {"values": [v2]}})


class NothingHere(ApiView):
    """No such address, whatever the method."""

    schema = None  # there is nothing to be described

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound(f"{request.path} Not Found")
