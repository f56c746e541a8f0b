from __future__ import annotations

import re

import pytest
from django.test import Client

from metering.models import Token
from tests.admin import rows

LIST = "/admin/metering/token/"

pytestmark = pytest.mark.django_db


def make(client: Client, **fields: str) -> str:
    return rows.read(client.post(f"{LIST}add/", {"name": "billing", **fields}, follow=True))


def test_a_token_is_shown_once_and_only_its_hash_is_kept(admin_client: Client) -> None:
    page = make(admin_client, project_id="demo")

    [text] = re.findall(r"<code>([\w-]{43})</code>", page)
    token = Token.objects.get()
    assert Token.objects.valid(text) == token
    assert (token.project_id, token.user_id, token.is_admin) == ("demo", None, False)
    for later in (LIST, f"{LIST}{token.pk}/change/", f"{LIST}{token.pk}/history/", "/admin/"):
        assert text not in rows.read(admin_client.get(later))


def test_a_token_of_neither_a_project_nor_an_admin_is_refused(admin_client: Client) -> None:
    for blank in ("", "  "):
        assert "bound to a project" in make(admin_client, project_id=blank)

    assert not Token.objects.exists()


def test_a_name_with_markup_is_shown_as_text(admin_client: Client) -> None:
    assert "<script>alert(1)" not in make(admin_client, name="<script>alert(1)</script>", is_admin="on")

    assert Token.objects.get().is_admin


def test_a_token_is_deleted_but_never_changed(admin_client: Client) -> None:
    text = Token.issue("billing", project_id="demo")
    token = Token.objects.get()

    assert admin_client.post(f"{LIST}{token.pk}/change/", {"name": "x", "is_admin": "on"}).status_code == 403
    assert Token.objects.valid(text) == token

    admin_client.post(f"{LIST}{token.pk}/delete/", {"post": "yes"})
    assert Token.objects.valid(text) is None


def test_a_token_whose_end_is_past_is_not_made(admin_client: Client) -> None:
    assert "That is past" in make(
        admin_client, project_id="demo", expires_0="2020-01-01", expires_1="00:00:00", expires="2020-01-01 00:00:00"
    )
    assert not Token.objects.exists()
