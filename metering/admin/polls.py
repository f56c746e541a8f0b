"""Polls: what was expected of each node, and what came of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from metering.admin.lists import LookOnly, TimeFilter, exact
from metering.admin.showing import counts
from metering.admin.unfolded import ChangeList, RadioFilter, labelled
from metering.models import PollSlot

DAY = timedelta(days=1)


class OutcomeFilter(RadioFilter):
    """Missed, in whole or in part, or received."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[PollSlot]) -> list[tuple[str, str]]:
        return [("missed", "Missed"), ("received", "Received")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PollSlot]) -> QuerySet[PollSlot]:
        match self.value():
            case "missed":
                return queryset & PollSlot.objects.missed()
            case "received":
                return queryset.filter(received=F("parts"))
        return queryset


class PollList(ChangeList):
    """No more than a day at once, unless a node is chosen: a large cloud expects millions of polls a day."""

    hint = ""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        polls: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        if request.GET.get("node", "").strip():
            return polls
        self.hint = "One day at most. Choose a node to see all of its polls."
        return polls.filter(due__gte=self._end() - DAY)

    def _end(self) -> datetime:
        ends = [spec.bounds()[1] for spec in self.filter_specs if isinstance(spec, TimeFilter)]
        return next((end for end in ends if end), timezone.now())


@admin.register(PollSlot)
class PollAdmin(LookOnly[PollSlot]):
    """One poll expected of one node."""

    list_display = (
        "due",
        "node",
        "source",
        "shard",
        "outcome",
        "samples",
        "guests",
        "errors_counted",
        "note",
        "read_at",
    )
    fields = (
        "source",
        "slot",
        "node",
        "shard",
        "due",
        "deadline",
        "outcome",
        "note",
        "received",
        "parts",
        "received_at",
        "read_at",
        "samples",
        "guests",
        "errors_counted",
    )
    readonly_fields = fields
    search_fields = ("node__exact", "source__exact")
    search_help_text = "A whole node or source name"
    list_filter = (
        OutcomeFilter,
        exact("node", "node"),
        exact("source", "source"),
        ("due", TimeFilter),
    )
    list_before_template = "metering/hint.html"
    ordering = ("-due",)
    sortable_by = ("due",)  # the one order that an index gives

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[PollList]:
        return PollList

    @labelled("outcome", {"received": "success", "missed": "danger", "in part": "warning", "waiting": "info"})
    def outcome(self, poll: PollSlot) -> str:
        if poll.received == poll.parts:
            return "received"
        if poll.deadline >= timezone.now():
            return "waiting"
        return "in part" if poll.received else "missed"

    @admin.display(description="errors")
    def errors_counted(self, poll: PollSlot) -> str:
        return counts(poll.errors)
