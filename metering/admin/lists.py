"""What every list of the admin shares: it looks, and stays fast when its table has millions of rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from metering.admin.unfolded import ModelAdmin, RangeDateTimeFilter, TextFilter

Row = TypeVar("Row", bound=Model)


class BoundedPaginator(Paginator[Any]):
    """Pages of what may be millions of rows: it counts no further than it shows."""

    object_list: QuerySet[Any]

    most = 10_000
    template_name = "metering/pagination.html"

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by()[: self.most].count()

    @property
    def is_cut(self) -> bool:
        return self.count == self.most


class LookOnly(ModelAdmin[Row]):
    """Nothing is added, changed or deleted by hand."""

    actions: Sequence[str] | None = None
    paginator = BoundedPaginator
    show_full_result_count = False
    list_filter_submit = True
    list_per_page = 50
    list_max_show_all = 0

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False


class Typed(TextFilter):
    """A text to type. It narrows nothing by itself: the list reads it."""

    def value(self) -> str | None:
        return (super().value() or "").strip() or None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Row]) -> QuerySet[Row] | None:
        return queryset


class Exact(Typed):
    """The rows whose ``lookup`` is just what was typed: an index answers that, and no pattern."""

    lookup = ""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Row]) -> QuerySet[Row] | None:
        value = self.value()
        if value is None:
            return queryset
        if "\0" in value:  # PostgreSQL's text holds none
            return queryset.none()
        return queryset.filter(**{self.lookup or self.parameter_name or "": value})


def exact(title: str, parameter_name: str, lookup: str = "") -> type[Exact]:
    """An `Exact` filter of this field."""
    names = {"title": title, "parameter_name": parameter_name, "lookup": lookup}
    return type("Exact", (Exact,), names)


class TimeFilter(RangeDateTimeFilter):
    """At or after the first time and before the second, both UTC; a day without a time begins at midnight."""

    def bounds(self) -> tuple[datetime | None, datetime | None]:
        return self._moment("from"), self._moment("to")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Row]) -> QuerySet[Row] | None:
        start, end = self.bounds()
        bounds = {f"{self.field_path}__gte": start, f"{self.field_path}__lt": end}
        return queryset.filter(**{lookup: moment for lookup, moment in bounds.items() if moment is not None})

    def _moment(self, side: str) -> datetime | None:
        day, time = (self.used_parameters.get(f"{self.field_path}_{side}_{part}") or "" for part in (0, 1))
        if not day:
            return None
        try:
            return datetime.fromisoformat(f"{day}T{time or '00:00'}").replace(tzinfo=UTC)
        except ValueError as exc:
            raise IncorrectLookupParameters(f"{day} {time} is no time") from exc
