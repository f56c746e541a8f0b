from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from api.deadline import deadline
from tests.api import asking
from tests.factories import reading, store

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/v2/samples", "/v2/meters", "/v2/resources", "/v2/meters/cpu/statistics"])
def test_who_has_the_answer_already_is_not_sent_it_again(path: str) -> None:
    store(reading())
    asker = asking.admin()
    first = asker.get(path)
    again = asker.get(path, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert again["Vary"] == first["Vary"] == "Accept, X-Auth-Token, Authorization, Cookie"
    assert first["Cache-Control"] == "private, no-cache"
    store(reading(2, 60, resource="web-2"))
    changed = asker.get(path, headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]


def test_an_error_and_a_stream_have_no_tag() -> None:
    asker = asking.admin()
    assert "ETag" not in asker.get("/v2/samples", limit=0)
    assert "ETag" not in asker.get("/v2/samples", headers={"Accept": "text/csv"})
    assert "ETag" not in asker.get("/v2/samples", headers={"Accept": "text/html"})


def slowly(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    return execute(f"SELECT pg_sleep(30); {sql}", params, many, context)


def test_a_question_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    serving = replace(settings.METERING.serving, timeout=1)
    monkeypatch.setattr(settings, "METERING", replace(settings.METERING, serving=serving))
    asker = asking.admin()
    with connection.execute_wrapper(slowly):
        response = asker.get("/v2/samples")
    assert asking.refusal(response) == (503, "The database did not answer within 1 s: ask for less at once")
    assert response["Retry-After"] == "5"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("setting", ["statement_timeout", "jit"])
def test_what_holds_for_one_request_does_not_for_the_next_on_the_connection(setting: str) -> None:
    def shown() -> str:
        with connection.cursor() as cursor:
            cursor.execute(f"SHOW {setting}")
            [value] = cursor.fetchone()
            return str(value)

    before = shown()
    with deadline():
        assert shown() != before
    asking.admin().ask("/v2/samples")
    assert shown() == before
    assert settings.METERING.serving.timeout == 30
