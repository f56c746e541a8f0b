"""Resources, as they are now."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metering.admin.lists import LookOnly, TimeFilter, exact
from metering.admin.showing import document, rows_link
from metering.admin.unfolded import RadioFilter
from metering.models import Resource, SampleRow, Series


class MovedFilter(RadioFilter):
    """Whether another publisher ever took over, as when an instance migrates."""

    title = "whether it moved"
    parameter_name = "moved"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Resource]) -> list[tuple[str, str]]:
        return [("1", "Moved"), ("0", "Never moved")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Resource]) -> QuerySet[Resource]:
        match self.value():
            case "1":
                return queryset.filter(moves__gt=0)
            case "0":
                return queryset.filter(moves=0)
        return queryset


@admin.register(Resource)
class ResourceAdmin(LookOnly[Resource]):
    """One resource each: its owner, its latest metadata, and the ways to its meters and samples."""

    list_display = ("resource_id", "project_id", "user_id", "last_sample", "publisher", "moves", "see")
    fields = (
        "resource_id",
        "source",
        "project_id",
        "user_id",
        "first_sample",
        "last_sample",
        "publisher",
        "moves",
        "see",
        "latest_metadata",
    )
    readonly_fields = fields
    search_fields = ("resource_id__exact", "project_id__exact")
    search_help_text = "A whole resource or project id"
    list_filter = (
        exact("project", "project", "project_id"),
        exact("publisher", "publisher"),
        ("last_sample", TimeFilter),
        MovedFilter,
    )
    ordering = ("-last_sample",)
    sortable_by = ("last_sample",)  # the one order that an index gives

    @admin.display(description="see")
    def see(self, resource: Resource) -> SafeString:
        return format_html(
            "{} · {}",
            rows_link(Series, "meters", resource=resource.resource_id),
            rows_link(SampleRow, "samples", resource=resource.resource_id),
        )

    @admin.display(description="metadata")
    def latest_metadata(self, resource: Resource) -> SafeString:
        return document(resource.metadata.body)
