"""``/v2/usage``: what a bill is made of, in one answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import DataError
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from api import filters
from api.arguments import Arguments
from api.described import rows
from api.errors import Fault, invalid_input, unknown_argument
from api.listing import Listing
from api.parameters import Parameter
from api.serializers import UsageSerializer
from api.views.base import ListingView
from metering.models.questions import Window
from metering.models.usage import GROUPS, PERIODS, Span, usage

_HOUR = timedelta(hours=1)


class UsageView(ListingView):
    """How much of what each project used, by day or by month."""

    rule = "telemetry:get_usage"
    known = filters.ARGUMENTS | {"period", "groupby"}
    fields = filters.RESOURCE_FIELDS
    answers = rows("Usage")
    own = {
        "period": Parameter("Of the calendar, in UTC.", {"type": "string", "enum": [*PERIODS], "default": "month"}),
        "groupby": Parameter(
            "Rows of their own for each; without any, for each project.",
            {"type": "string", "enum": [*GROUPS]},
            many=True,
        ),
    }

    def get(self, request: Request) -> HttpResponseBase:
        arguments = self.arguments()
        question = filters.read_query(arguments, self.fields, self.caller).question
        if question.metadata:
            raise unknown_argument(f"metadata.{next(iter(question.metadata))}", "not valid for this resource")
        period, groups = _period(arguments), _groups(arguments)
        try:
            found = usage(self.caller, question, _span(question.window, period), period, groups)
        except DataError as exc:
            raise Fault("The volumes are too large to be added up") from exc
        return self.answer(Listing.whole(UsageSerializer, found, period=period, groups=groups), arguments)


def _period(arguments: Arguments) -> str:
    period = arguments.one("period") or "month"
    if period not in PERIODS:
        raise invalid_input("period", period, f"Value should be one of: {', '.join(PERIODS)}")
    return period


def _groups(arguments: Arguments) -> list[str]:
    groups = list(dict.fromkeys(arguments.all("groupby"))) or ["project_id"]
    for group in groups:
        if group not in GROUPS:
            raise unknown_argument(group, "Invalid groupby fields")
    return groups


def _span(window: Window, period: str) -> Span:
    """Full hours: the window's, without a start from where the present period begins, without an end until now."""
    now = datetime.now(UTC)
    begun = _hour(now).replace(hour=0, day=1 if period == "month" else now.day)
    try:
        start, end = _hour(window.lower or begun), _hour((window.upper or now) + _HOUR - timedelta(microseconds=1))
        _ = start - 2 * _HOUR * 24  # the day before is looked at, too
    except OverflowError as exc:
        raise invalid_input("timestamp", window.lower or window.upper, str(exc)) from exc
    return Span(start, max(start, end))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
