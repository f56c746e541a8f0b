"""Quarantine: what could not be stored, and why."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import BinaryField, Func, QuerySet, Value
from django.db.models.functions import Length
from django.http import HttpRequest
from django.utils.safestring import SafeString

from metering.admin.lists import LookOnly, TimeFilter, exact
from metering.admin.showing import MOST, block, document, shortened
from metering.models import Quarantine

# A row with ``head`` and ``size`` of its body; a type checker does not see annotations through the admin.
HeadedRow = Any


@admin.register(Quarantine)
class QuarantineAdmin(LookOnly[Quarantine]):
    """One refused body each, and its reason."""

    list_display = ("last_seen", "kind", "why", "publisher_said", "count", "state")
    fields = (
        "kind",
        "state",
        "whole_reason",
        "publisher_said",
        "count",
        "first_seen",
        "last_seen",
        "size",
        "known_details",
        "what_came",
    )
    readonly_fields = fields
    search_fields = ("reason", "publisher")
    list_filter = ("kind", "state", exact("publisher", "publisher"), ("last_seen", TimeFilter))
    ordering = ("-last_seen",)
    sortable_by = ("last_seen",)  # the one order that an index gives

    def get_queryset(self, request: HttpRequest) -> QuerySet[Quarantine]:
        """Without the bodies, which may have megabytes: their beginnings and sizes come with one row."""
        return super().get_queryset(request).defer("body")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> HeadedRow:
        headed = self.get_queryset(request).annotate(
            head=Func("body", Value(1), Value(MOST), function="substring", output_field=BinaryField()),
            size=Length("body"),
        )
        return headed.filter(pk=int(object_id)).first() if object_id.isdecimal() and len(object_id) < 19 else None

    @admin.display(description="reason")
    def why(self, row: Quarantine) -> str:
        return shortened(row.reason)

    @admin.display(description="reason")
    def whole_reason(self, row: Quarantine) -> SafeString:
        return block(row.reason)

    @admin.display(description="publisher, by its own word")
    def publisher_said(self, row: Quarantine) -> str:
        return shortened(row.publisher)

    @admin.display(description="details")
    def known_details(self, row: Quarantine) -> SafeString:
        return document(json.dumps(row.details))

    @admin.display(description="size")
    def size(self, row: HeadedRow) -> str:
        return f"{row.size:,} bytes"

    @admin.display(description="what came")
    def what_came(self, row: HeadedRow) -> SafeString:
        """As it came, never parsed: what is here was not believed."""
        text = bytes(row.head).decode("utf-8", "backslashreplace")
        more = f"\n… and {row.size - MOST:,} bytes more" if row.size > MOST else ""
        return block(text[:MOST]) + block(more) if more else block(text)
