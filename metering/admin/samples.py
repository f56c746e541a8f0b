"""Samples: found by resource, meter, time or message id, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from metering.admin.choice import Choice
from metering.admin.lists import LookOnly, TimeFilter, Typed, exact
from metering.admin.showing import block, document, rows_link
from metering.admin.unfolded import ChangeList
from metering.locator import Locator
from metering.models import Resource, SampleOriginal, SampleRow, Series


class ResourceFilter(Typed):
    """A whole resource id; `Choice` finds its series."""

    title = "resource"
    parameter_name = "resource"


class SampleList(ChangeList):
    """Rows once something is chosen, each linked by its whole key."""

    hint = ""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        [times] = [spec for spec in self.filter_specs if isinstance(spec, TimeFilter)]
        start, end = times.bounds()
        asked = {name: request.GET.get(name, "").strip() for name in ("resource", "meter")}
        chosen, self.hint = Choice(term=self.query.strip(), start=start, end=end, **asked).of(rows)
        # Fetched for the page's rows, not joined: a join of a whole day is made before it is sorted.
        return chosen.prefetch_related("series", "signer")

    def url_for_result(self, result: Any) -> str:
        return reverse("admin:metering_samplerow_change", args=(quote(result.locator.text),))


@admin.register(SampleRow)
class SampleAdmin(LookOnly[SampleRow]):
    """One reading each, with its signature and what was signed."""

    list_display = ("read_at", "meter", "volume_in_unit", "resource", "project", "signed_by", "recorded_at")
    fields = (
        "message_id",
        "meter",
        "volume_in_unit",
        "type",
        "resource",
        "project",
        "user",
        "source",
        "read_at",
        "stored_at",
        "signed_by",
        "signature_in_hex",
        "pretty_metadata",
        "original",
    )
    readonly_fields = fields
    search_fields = ("series__resource_id",)  # shows the search field; Choice answers it
    search_help_text = "A message id or a whole resource id"
    list_filter = (
        ResourceFilter,
        exact("meter", "meter", "series__meter"),
        exact("project", "project", "series__project_id"),
        ("ts", TimeFilter),
    )
    list_before_template = "metering/hint.html"
    ordering = ("-ts",)
    sortable_by = ("read_at",)  # the one order that an index gives

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[SampleList]:
        return SampleList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SampleRow], search_term: str
    ) -> tuple[QuerySet[SampleRow], bool]:
        return queryset, False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> SampleRow | None:
        locator = Locator.parse(object_id)
        if locator is None:
            return None
        rows = self.get_queryset(request).select_related("series", "signer", "metadata")
        return rows.filter(series_id=locator.series_id, ts=locator.ts, message_id=locator.message_id).first()

    @admin.display(description="read at", ordering="ts")
    def read_at(self, row: SampleRow) -> str:
        return f"{row.ts:%Y-%m-%d %H:%M:%S.%f}"

    @admin.display(description="stored at")
    def stored_at(self, row: SampleRow) -> str:
        return f"{row.recorded_at:%Y-%m-%d %H:%M:%S.%f}"

    @admin.display(description="meter")
    def meter(self, row: SampleRow) -> SafeString | str:
        return rows_link(Series, row.series.meter, resource=row.series.resource_id, meter=row.series.meter)

    @admin.display(description="volume")
    def volume_in_unit(self, row: SampleRow) -> str:
        return f"{repr(row.volume).removesuffix('.0')} {row.series.unit}"

    @admin.display
    def type(self, row: SampleRow) -> str:
        return row.series.type

    @admin.display
    def resource(self, row: SampleRow) -> SafeString:
        return rows_link(Resource, row.series.resource_id, q=row.series.resource_id)

    @admin.display(empty_value="none")
    def project(self, row: SampleRow) -> str | None:
        return row.series.project_id

    @admin.display(empty_value="none")
    def user(self, row: SampleRow) -> str | None:
        return row.series.user_id

    @admin.display
    def source(self, row: SampleRow) -> str:
        return row.series.source

    @admin.display(description="signer")
    def signed_by(self, row: SampleRow) -> str:
        return str(row.signer)

    @admin.display(description="signature")
    def signature_in_hex(self, row: SampleRow) -> str:
        return bytes(row.signature).hex()

    @admin.display(description="metadata")
    def pretty_metadata(self, row: SampleRow) -> SafeString:
        return document(row.metadata.body)

    @admin.display(description="as it came", empty_value="packing the fields again gives what was signed")
    def original(self, row: SampleRow) -> SafeString | None:
        key = {"series_id": row.series_id, "ts": row.ts, "message_id": row.message_id}
        kept = SampleOriginal.objects.filter(**key).first()
        return block(kept.body) if kept else None
