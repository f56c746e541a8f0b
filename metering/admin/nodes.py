"""Nodes: who publishes, and which of them answer their polls."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from metering.admin.lists import LookOnly
from metering.admin.showing import counts, rows_link
from metering.admin.unfolded import RadioFilter, labelled
from metering.environment import CENTRAL
from metering.models import Node, PollSlot
from metering.models.reachability import PolledNode, with_polls
from metering.store import clocks


class ReachableFilter(RadioFilter):
    """Whether the last two closed slots brought a receipt."""

    title = "whether it is reachable"
    parameter_name = "reachable"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Node]) -> list[tuple[str, str]]:
        return [("1", "Reachable"), ("0", "Unreachable")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PolledNode]) -> QuerySet[PolledNode]:
        value = self.value()
        return queryset.filter(reachable=value == "1") if value in ("0", "1") else queryset


class ClockFilter(RadioFilter):
    """Whether its clock is off by more than is warned of."""

    title = "clock"
    parameter_name = "clock"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Node]) -> list[tuple[str, str]]:
        return [("wrong", "Wrong")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Node]) -> QuerySet[Node]:
        return queryset & Node.objects.with_wrong_clocks(clocks.WRONG_SECONDS) if self.value() else queryset


@admin.register(Node)
class NodeAdmin(LookOnly[Node]):
    """One publisher each; switching it off and on is all there is to edit."""

    list_display = (
        "publisher",
        "enabled",
        "reachable",
        "last_poll",
        "polls_of_the_last_hour",
        "guests",
        "errors_of_the_last_poll",
        "dropped_by_the_spool",
        "clock",
        "last_seen",
        "see",
    )
    fields = ("publisher", "enabled", *list_display[2:], "skew_at", "first_seen")
    readonly_fields = tuple(name for name in fields if name != "enabled")
    search_fields = ("publisher",)
    list_filter = (ReachableFilter, ClockFilter, "enabled", "role")
    ordering = ("publisher",)

    def has_change_permission(self, request: HttpRequest, obj: Node | None = None) -> bool:
        return super(LookOnly, self).has_change_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Node]:
        return with_polls(super().get_queryset(request), timezone.now())

    def save_model(self, request: HttpRequest, obj: Node, form: Any, change: Any) -> None:
        """Write ``enabled`` alone: the storage workers keep the rest, and may have done so since the page was read."""
        obj.save(update_fields=["enabled"])

    @admin.display(boolean=True)
    def reachable(self, node: PolledNode) -> bool | None:
        return node.reachable

    @admin.display(description="polls, last hour")
    def polls_of_the_last_hour(self, node: PolledNode) -> str:
        return f"{node.received} of {node.expected}" if node.expected else ""

    @admin.display(description="errors, last poll")
    def errors_of_the_last_poll(self, node: Node) -> str:
        return counts(node.errors)

    @admin.display(description="dropped")
    def dropped_by_the_spool(self, node: Node) -> str:
        return counts(node.dropped)

    @labelled("clock", {"right": "success", "wrong": "danger"})
    def clock(self, node: Node) -> tuple[str, str] | str:
        """By how much it is off at least, as far as its batches tell."""
        if node.skew is None:
            return ""
        if not clocks.is_wrong(node.skew):
            return "right", "right"
        return "wrong", f"{abs(node.skew):,.1f} s {'ahead' if node.skew > 0 else 'behind'}"

    @admin.display(description="see")
    def see(self, node: Node) -> SafeString | str:
        if node.role not in ("compute", "central"):
            return ""
        return rows_link(PollSlot, "polls", node=CENTRAL if node.role == "central" else node.name)
