"""django-unfold's classes. It brings no types, so a type checker sees the Django classes they extend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from django.contrib.admin import FieldListFilter as RangeDateTimeFilter
    from django.contrib.admin import ModelAdmin
    from django.contrib.admin import SimpleListFilter as RadioFilter
    from django.contrib.admin import SimpleListFilter as TextFilter
    from django.contrib.admin.views.main import ChangeList
    from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
    from django.forms import TextInput
else:
    from unfold.admin import ModelAdmin
    from unfold.contrib.filters.admin import RadioFilter, RangeDateTimeFilter, TextFilter
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
    from unfold.views import ChangeList
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput

__all__ = [
    "AdminPasswordChangeForm",
    "ChangeList",
    "ModelAdmin",
    "RadioFilter",
    "RangeDateTimeFilter",
    "TextFilter",
    "TextInput",
    "UserChangeForm",
    "UserCreationForm",
    "labelled",
]

Column = TypeVar("Column", bound=Callable[..., Any])


def labelled(description: str, colours: Mapping[str, str]) -> Callable[[Column], Column]:
    """A column of coloured labels; ``colours`` says which text is info, success, warning or danger."""

    def mark(column: Column) -> Column:
        attributes: dict[str, Any] = {"short_description": description, "label": dict(colours)}
        vars(column).update(attributes)
        return column

    return mark
