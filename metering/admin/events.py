"""Events: what happened, as services said it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from metering.admin.lists import LookOnly, TimeFilter, Typed, exact
from metering.admin.showing import document, rows_link, visible
from metering.identity import stored_id
from metering.models import Event, Resource


class TypeFilter(Typed):
    """The events of one type, by its index on time."""

    title = "event type"
    parameter_name = "type"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name, events = self.value(), Event.objects.all()
        return queryset if name is None else queryset & (events.none() if "\0" in name else events.of_type(name))


class ResourceFilter(Typed):
    """The events of one resource, by the index on traits."""

    title = "resource"
    parameter_name = "resource"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name, events = self.value(), Event.objects.all()
        return queryset if name is None else queryset & (events.none() if "\0" in name else events.about(name))


@admin.register(Event)
class EventAdmin(LookOnly[Event]):
    """One event each, with its traits; the newest first."""

    list_display = ("said_at", "event_type", "resource", "project_id", "shown_id")
    fields = (
        "shown_id",
        "event_type",
        "said_at",
        "stored_at",
        "resource",
        "project_id",
        "signer",
        "trait_table",
        "notification",
    )
    readonly_fields = fields
    search_fields = ("message_id",)  # shows the search field
    search_help_text = "A whole message id"
    list_filter = (TypeFilter, ResourceFilter, exact("project", "project", "project_id"), ("generated", TimeFilter))
    list_select_related = ("event_type",)
    ordering = ("-generated",)
    sortable_by = ("said_at",)  # the one order that an index gives

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        term = search_term.strip()
        return (queryset.filter(message_id=stored_id(term)) if term else queryset), False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Event | None:
        """By its message_id, which a forged event of another day could have as well: then the first."""
        rows = self.get_queryset(request).select_related("event_type", "signer")
        return rows.filter(message_id=stored_id(object_id)).order_by("generated").first()

    @admin.display(description="said at", ordering="generated")
    def said_at(self, event: Event) -> str:
        return f"{event.generated:%Y-%m-%d %H:%M:%S.%f}"

    @admin.display(description="stored at")
    def stored_at(self, event: Event) -> str:
        return f"{event.recorded_at:%Y-%m-%d %H:%M:%S.%f}"

    @admin.display(description="message id")
    def shown_id(self, event: Event) -> str:
        return visible(event.shown_id)

    @admin.display(empty_value="none")
    def resource(self, event: Event) -> SafeString | None:
        name = event.traits.get("s:resource_id")
        return rows_link(Resource, visible(name), q=name) if name else None

    @admin.display(description="traits")
    def trait_table(self, event: Event) -> SafeString:
        rows = ((trait.name, trait.type, visible(trait.text)) for trait in event.trait_list())
        return format_html_join("", "<div><b>{}</b> ({}): {}</div>", rows)

    @admin.display(empty_value="not kept")
    def notification(self, event: Event) -> SafeString | None:
        return document(event.raw) if event.raw is not None else None
