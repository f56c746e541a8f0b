from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from metering.models import Resource, Series
from tests.admin import rows
from tests.admin.rows import NOON, WEB

pytestmark = pytest.mark.django_db


def page(client: Client, model: str, **chosen: str) -> str:
    answer = client.get(f"/admin/metering/{model}/", chosen)
    return rows.read(answer)


def test_meters_are_found_by_resource_project_meter_and_type(admin_client: Client) -> None:
    rows.series("cpu")
    rows.series("memory", type="gauge", unit="MB")
    rows.series("cpu", "db", project_id="other")

    assert "3 meters" in page(admin_client, "series")
    assert "2 meters" in page(admin_client, "series", q=WEB)
    assert "1 meter" in page(admin_client, "series", q="other")
    assert "2 meters" in page(admin_client, "series", meter="cpu")
    assert "1 meter" in page(admin_client, "series", type="gauge")
    assert "0 meters" in page(admin_client, "series", project="demo\0")


def test_a_meter_leads_to_its_samples(admin_client: Client) -> None:
    rows.series("cpu")

    assert f"/admin/metering/samplerow/?resource={WEB}&amp;meter=cpu" in page(admin_client, "series")


def test_a_resource_shows_its_owner_its_publisher_and_its_moves(admin_client: Client) -> None:
    row = rows.resource(moves=3, user_id="alice", publisher="compute/host-7")

    text = rows.read(admin_client.get(f"/admin/metering/resource/{row.pk}/change/"))

    for shown in (WEB, "demo", "alice", "compute/host-7", "&quot;display_name&quot;: &quot;web&quot;"):
        assert shown in text
    assert f"/admin/metering/series/?resource={WEB}" in text
    assert f"/admin/metering/samplerow/?resource={WEB}" in text


def test_resources_are_found_by_project_publisher_time_and_move(admin_client: Client) -> None:
    rows.resource("web", moves=1)
    rows.resource("db", NOON - timedelta(days=2), publisher="central/central", project_id=None)

    assert "2 resources" in page(admin_client, "resource")
    assert "1 resource" in page(admin_client, "resource", q="web")
    assert "1 resource" in page(admin_client, "resource", moved="1")
    assert "db" in page(admin_client, "resource", publisher="central/central")
    assert "1 resource" in page(admin_client, "resource", last_sample_from_0="2026-03-04")


@pytest.mark.parametrize("model", ["series", "resource", "pollslot", "quarantine"])
def test_what_is_only_looked_at_has_no_way_to_add_change_or_delete(admin_client: Client, model: str) -> None:
    makers: dict[str, Callable[[], Model]] = {
        "series": rows.series,
        "resource": rows.resource,
        "pollslot": lambda: rows.poll(timezone.now()),
        "quarantine": lambda: rows.refused(b"x"),
    }
    made = makers[model]()
    here = f"/admin/metering/{model}"

    assert admin_client.get(f"{here}/{made.pk}/change/").status_code == 200
    assert admin_client.post(f"{here}/add/", {}).status_code == 403
    assert admin_client.post(f"{here}/{made.pk}/change/", {}).status_code == 403
    assert admin_client.post(f"{here}/{made.pk}/delete/", {"post": "yes"}).status_code == 403
    made.refresh_from_db()


@pytest.mark.parametrize(
    ("model", "queries"), [("series", 4), ("resource", 4), ("pollslot", 4), ("quarantine", 4), ("node", 5)]
)
def test_a_list_takes_the_same_queries_whatever_it_holds(
    admin_client: Client, django_assert_num_queries: DjangoAssertNumQueries, model: str, queries: int
) -> None:
    for number in range(12):
        rows.series("cpu", f"r{number}")
        rows.resource(f"r{number}")
        rows.node(f"host-{number}")
        rows.poll(timezone.now() - timedelta(minutes=5), f"host-{number}")
        rows.refused(f"{number}".encode())

    # session, user; count and rows; the roles that nodes have, to choose from
    with django_assert_num_queries(queries):
        page(admin_client, model)


def test_an_operator_who_may_view_samples_sees_them_and_nothing_else(client: Client) -> None:
    operator = User.objects.create_user("op", is_staff=True)
    operator.user_permissions.add(Permission.objects.get(codename="view_samplerow"))
    client.force_login(operator)

    assert client.get("/admin/metering/samplerow/").status_code == 200
    assert client.get("/admin/metering/token/").status_code == 403


def test_a_visitor_is_asked_to_log_in(client: Client) -> None:
    rows.resource()

    answer = client.get("/admin/metering/resource/")

    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")
    assert Resource.objects.count() == 1
    assert Series.objects.count() == 0
