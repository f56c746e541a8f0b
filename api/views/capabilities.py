"""``/v2/capabilities``: what this API can be asked."""

from __future__ import annotations

from collections.abc import Iterator

from rest_framework.request import Request
from rest_framework.response import Response

from api.described import Answer
from api.views.base import LedgerView
from metering.models.figures import FUNCTIONS

READY = {"storage:production_ready": True}
_OURS = (  # what the original never had
    "listings:paging",
    "listings:streaming:csv",
    "listings:streaming:ndjson",
    "listings:query:in",
    "samples:posting:idempotent",
    "samples:verification",
    "usage",
    "polls",
)
_LISTED = ("meters", "resources", "samples", "statistics")


class CapabilitiesView(LedgerView):
    """Flat names, as the original's clients read them; those that it never had stand among them."""

    rule = "telemetry:capabilities"
    answers = {"GET": Answer("Capabilities")}

    def get(self, request: Request) -> Response:
        self.arguments()
        return Response({"api": dict(_api()), "storage": READY, "event_storage": READY})


def _api() -> Iterator[tuple[str, bool]]:
    for listed in _LISTED:
        yield f"{listed}:query:simple", True
        yield f"{listed}:query:metadata", True
        yield f"{listed}:query:complex", listed == "samples"
    yield "statistics:groupby", True
    yield "statistics:aggregation:standard", True
    for function in sorted({*FUNCTIONS, "cardinality", "percentile"}):
        yield f"statistics:aggregation:selectable:{function}", True
    yield "events:query:simple", True
    yield from ((name, True) for name in _OURS)
