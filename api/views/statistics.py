"""``/v2/meters/{name}/statistics``: what a meter's samples add up to."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import zip_longest

from django.db import DataError
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from api import filters
from api.arguments import Arguments
from api.described import rows
from api.errors import Fault, not_supported, unknown_argument
from api.listing import Listing
from api.serializers import StatisticsSerializer
from api.views.base import ListingView
from metering.models import Series
from metering.models.figures import COUNTABLE, FUNCTIONS, STANDARD, Figure
from metering.models.statistics import is_group

_WITH_PARAM = ("cardinality", "percentile")
_NUMBER = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?")


class StatisticsView(ListingView):
    """Figures of one meter's samples, by unit, group and period of time."""

    rule = "telemetry:compute_statistics"
    known = filters.ARGUMENTS | {"period", "groupby", "aggregate.func", "aggregate.param"}
    fields = filters.SAMPLE_FIELDS
    answers = rows("Statistics", 404, 501)

    def get(self, request: Request, name: str) -> HttpResponseBase:
        arguments = self.arguments()
        question = filters.read_query(arguments, self.fields, self.caller).question.of_meter(name)
        period = _period(arguments)
        selected = _figures(arguments)
        figures = selected or [Figure(function) for function in STANDARD]
        groups = _groups(arguments)
        meters = Series.objects.visible_to(self.caller)
        try:
            found = meters.statistics(question, figures, group_by=groups, period=period)
        except OverflowError as exc:
            raise _too_long(period, exc) from exc
        except DataError as exc:
            raise Fault("The volumes are too large to be added up") from exc
        context = {"period": period, "window": question.window, "groups": groups, "figures": figures}
        return self.answer(Listing.whole(StatisticsSerializer, found, **context, selected=bool(selected)), arguments)


def _period(arguments: Arguments) -> int:
    period = arguments.integer("period", 0)
    if period < 0:
        raise Fault("Period must be positive.")
    try:
        timedelta(seconds=period)
    except OverflowError as exc:
        raise _too_long(period, exc) from exc
    return period


def _too_long(period: int, exc: OverflowError) -> Fault:
    return Fault(f"Invalid period {period}: {exc}")


def _groups(arguments: Arguments) -> list[str]:
    groups = list(dict.fromkeys(arguments.all("groupby")))
    for group in groups:
        if not is_group(group):
            raise unknown_argument(group, "Invalid groupby fields")
    return groups


def _figures(arguments: Arguments) -> list[Figure]:
    """The functions asked for; the parameters belong to the first of them, by place."""
    functions, params = arguments.all("aggregate.func"), arguments.all("aggregate.param")
    if len(params) > len(functions):
        raise unknown_argument("aggregate.param", "there are more of them than of aggregate.func")
    return list(dict.fromkeys(_figure(function, param) for function, param in zip_longest(functions, params)))


def _figure(asked: str, param: str | None) -> Figure:
    """A function, with its parameter by place or behind a slash: ``percentile/95``."""
    function, slash, own = asked.partition("/")
    if slash and (function not in _WITH_PARAM or param):
        raise Fault(f"Bad aggregate: {asked}" + (f".{param}" if param else ""))
    param = own if slash else param
    if function == "cardinality":
        if param not in COUNTABLE:
            raise Fault(f"Bad aggregate: cardinality.{param or None}")
        return Figure(function, param)
    if function == "percentile":
        return Figure(function, _percentage(param))
    if function not in FUNCTIONS:
        raise not_supported(f"Selectable aggregate function {function}")
    return Figure(function)


def _percentage(param: str | None) -> str:
    if param is None or not _NUMBER.fullmatch(param) or float(param) > 100:
        raise Fault(f"Bad aggregate: percentile.{param or None}")
    return param
