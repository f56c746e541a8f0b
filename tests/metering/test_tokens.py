"""Tokens of our own: given out, listed, used and taken back."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from metering.models import Token
from tests.api.asking import Asker

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def listed() -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("list_tokens", "--json").splitlines()]


def test_a_token_is_made_listed_and_revoked() -> None:
    text = run("make_token", "--name", "billing", "--project", "red", "--days", "30").strip()
    admin = run("make_token", "--name", "audit", "--admin").strip()
    today, end = timezone.now().date(), timezone.now().date() + timedelta(days=30)

    assert Asker(text).ask("/v2/meters") == []
    audit, billing = listed()
    assert audit["opens"] == "every project"
    assert (audit["ends"], audit["last_used"], audit["created"]) == ("never", "", today.isoformat())
    assert (billing["name"], billing["opens"]) == ("billing", "project red")
    assert billing["ends"] in (end.isoformat(), (end + timedelta(days=1)).isoformat())
    lines = run("list_tokens").splitlines()
    assert lines[0].split() == ["id", "created", "ends", "last", "used", "opens", "name"]
    assert lines[2].endswith("project red  billing")
    for shown in (run("list_tokens"), json.dumps(listed())):
        assert text not in shown
        assert admin not in shown

    assert run("revoke_token", str(billing["id"])) == f"revoked: {billing['id']}, 'billing', of project red\n"
    assert Asker(text).refusal("/v2/meters") == (401, "The token is unknown, expired or revoked")
    assert Asker(admin).ask("/v2/meters") == []


def test_tokens_are_revoked_by_name_or_not_at_all() -> None:
    for _ in range(2):
        Token.issue("billing", project_id="red")
    kept = Token.issue("audit", is_admin=True)
    first = Token.objects.filter(name="billing").first()
    assert first is not None

    for wrong in (["--name", "nobody"], [str(first.pk), "999999999"], [], [str(first.pk), "--name", "audit"]):
        with pytest.raises(CommandError):
            run("revoke_token", *wrong)
    assert Token.objects.count() == 3
    run("revoke_token", "--name", "billing")
    assert [token.name for token in Token.objects.all()] == ["audit"]
    assert Token.objects.valid(kept)


def test_an_ended_token_is_listed_as_ended_and_opens_nothing() -> None:
    text = Token.issue("old", project_id="red", expires=timezone.now() - timedelta(days=2))

    assert listed()[0]["ends"] == "ended"
    assert Asker(text).refusal("/v2/meters")[0] == 401


@pytest.mark.parametrize("options", [["--days", "0"], ["--days", "36501"]])
def test_a_token_without_a_future_is_not_made(options: list[str]) -> None:
    with pytest.raises(CommandError, match="--days must be"):
        run("make_token", "--name", "x", "--admin", *options)
    with pytest.raises(CommandError, match="needs --project"):
        run("make_token", "--name", "x")
    assert not Token.objects.exists()


def test_the_day_of_its_last_use_is_kept_with_one_statement_a_day() -> None:
    text = Token.issue("billing", project_id="red")
    Token.objects.update(created=timezone.now() - timedelta(days=3))
    assert listed()[0]["last_used"] == ""

    def writes() -> int:
        with CaptureQueriesContext(connection) as captured:
            Asker(text).ask("/v2/meters")
        return sum('UPDATE "token"' in query["sql"] for query in captured)

    assert writes() == 1
    assert listed()[0]["last_used"] in (
        timezone.now().date().isoformat(),
        (timezone.now() - timedelta(days=1)).date().isoformat(),
    )
    Token.objects.update(last_used=timezone.now().date() + timedelta(days=1))  # whatever the hour: not again today
    assert writes() == 0
