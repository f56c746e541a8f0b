from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.admin import rows
from tests.admin.rows import NOON

pytestmark = pytest.mark.django_db


def figures(client: Client) -> dict[str, str]:
    page = client.get("/admin/").content.decode()
    found = re.findall(r'<p class="mb-2 text-sm">([^<]+)</p>\s*<p class="font-semibold[^>]*>([^<]+)</p>', page)
    return dict(found)


def test_the_first_page_of_an_empty_ledger_says_so(admin_client: Client) -> None:
    assert figures(admin_client) == {
        "Nodes reachable / unreachable": "0 / 0",
        "Polls missed in the last hour": "0",
        "In quarantine": "0",
        "Latest sample": "none yet",
        "Samples kept for": "30 days",
    }


def test_the_first_page_shows_what_an_operator_looks_at_first(admin_client: Client) -> None:
    now = timezone.now()
    rows.node("good")
    rows.node("bad")
    for minutes in (2, 3):
        rows.poll(now - timedelta(minutes=minutes), "good")
        rows.missed_poll(now - timedelta(minutes=minutes), "bad")
    rows.missed_poll(now - timedelta(hours=2), "bad")
    rows.refused(b"a")
    rows.refused(b"b", state="replayed")
    rows.resource()
    rows.resource("db", NOON + timedelta(seconds=5))

    assert figures(admin_client) == {
        "Nodes reachable / unreachable": "1 / 1",
        "Polls missed in the last hour": "2",
        "In quarantine": "1",
        "Latest sample": "2026-03-04 12:00:05",
        "Samples kept for": "30 days",
    }


def test_the_first_page_takes_one_query_a_figure(
    admin_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        rows.node(f"host-{number}")

    # session, user; four figures; the operator's last actions
    with django_assert_num_queries(7):
        admin_client.get("/admin/")
