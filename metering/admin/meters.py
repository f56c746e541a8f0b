"""Meters: one row for each meter of each resource."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from metering.admin.lists import LookOnly, exact
from metering.admin.showing import rows_link
from metering.admin.unfolded import RadioFilter
from metering.counters import Kind
from metering.models import SampleRow, Series


class KindFilter(RadioFilter):
    """Gauge, delta or cumulative."""

    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Series]) -> list[tuple[str, str]]:
        return [(kind.value, kind.value) for kind in Kind]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Series]) -> QuerySet[Series]:
        value = self.value()
        return queryset.filter(type=value) if value else queryset


@admin.register(Series)
class MeterAdmin(LookOnly[Series]):
    """One meter of one resource, and the way to its samples."""

    list_display = ("meter", "resource_id", "project_id", "user_id", "type", "unit", "source", "samples")
    fields = ("meter", "type", "unit", "resource_id", "project_id", "user_id", "source", "samples")
    readonly_fields = fields
    # Whole values only: an index answers them. Django's "=" compares in upper case, which none does.
    search_fields = ("resource_id__exact", "meter__exact", "project_id__exact")
    search_help_text = "A whole resource id, meter or project id"
    list_filter = (
        exact("meter", "meter"),
        exact("resource", "resource", "resource_id"),
        exact("project", "project", "project_id"),
        KindFilter,
    )
    ordering = ("meter", "resource_id")  # as the index series_of_meter has them
    sortable_by = ("meter",)

    @admin.display(description="samples")
    def samples(self, series: Series) -> SafeString:
        return rows_link(SampleRow, "samples", resource=series.resource_id, meter=series.meter)
