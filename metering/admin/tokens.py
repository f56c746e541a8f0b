"""Tokens for the API: made here, shown once, and deleted, which revokes them at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from metering.admin.unfolded import ModelAdmin, TextInput
from metering.models import Token
from metering.models.access import new_text


class TokenForm(forms.ModelForm[Token]):
    """A blank id is no id: '' would be a project of its own, and pass for a bound token."""

    project_id = forms.CharField(
        required=False, empty_value=None, widget=TextInput, help_text="The only project it may read and post."
    )
    user_id = forms.CharField(required=False, empty_value=None, widget=TextInput)

    def clean_expires(self) -> datetime | None:
        expires: datetime | None = self.cleaned_data["expires"]
        if expires is not None and expires <= timezone.now():
            raise forms.ValidationError("That is past: the token would open nothing.")
        return expires


@admin.register(Token)
class TokenAdmin(ModelAdmin[Token]):
    """Made and revoked, which is to delete it; never changed: who holds one was told what it may do."""

    form = TokenForm
    fields = ("name", "project_id", "user_id", "is_admin", "expires")
    list_display = ("name", "project_id", "user_id", "is_admin", "created", "expires", "last_used")
    search_fields = ("name", "project_id", "user_id")
    list_filter = ("is_admin",)

    def has_change_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Token, form: Any, change: Any) -> None:
        """Make the token, and show its text this once; only the hash is kept."""
        text = new_text()
        obj.digest = Token.digest_of(text)
        super().save_model(request, obj, form, change)
        said = format_html("The token “{}” is <code>{}</code>. Keep it: it is not shown again.", obj.name, text)
        messages.warning(request, said)
