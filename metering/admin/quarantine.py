"""Quarantine: what could not be stored, and why."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import BinaryField, Func, QuerySet, Value
from django.db.models.functions import Length
from django.http import HttpRequest
from django.utils.safestring import SafeString

from metering.admin.lists import LookOnly, TimeFilter, exact
from metering.admin.showing import MOST, block, document, shortened
from metering.celery import app
from metering.errors import MeteringError
from metering.models import Quarantine
from metering.publish import publisher_of
from metering.store import replaying

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
    actions = ("send_again",)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Nothing is changed by hand, but whoever might be trusted with that may have it judged again."""
        return request.user.has_perm("metering.change_quarantine")

    @admin.action(description="Send through again", permissions=["replay"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Quarantine]) -> None:
        """Batches and messages. The listeners of notifications are not installed here: those are for the command."""
        chosen = queryset.order_by().filter(state=Quarantine.State.KEPT)
        heard = chosen.filter(kind=Quarantine.Kind.NOTIFICATION)
        sent = unfit = 0
        try:
            publisher = publisher_of(app, settings.METERING)
            for ids in replaying.portions(chosen.exclude(kind=Quarantine.Kind.NOTIFICATION)):
                more, stay = replaying.send_again(ids, publisher)
                sent, unfit = sent + more, unfit + stay
        except MeteringError as exc:
            self.message_user(request, str(exc), messages.ERROR)
        self.message_user(request, f"{sent} sent through again, {unfit} are nothing that can be sent.")
        if count := heard.count():
            told = f"{count} notifications stay: manage.py replay_quarantine --kind notification has them heard again."
            self.message_user(request, told, messages.WARNING)

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
