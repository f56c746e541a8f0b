from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from metering.events import Event
from tests.admin import rows
from tests.events import ID, event, store
from tests.factories import NOON

LIST = "/admin/metering/event/"

pytestmark = pytest.mark.django_db


def page(client: Client, **chosen: str) -> str:
    return rows.read(client.get(LIST, chosen))


def test_events_are_listed_and_found_by_type_resource_project_and_id(admin_client: Client) -> None:
    store(event(1), event(2, 60, of="volume.delete.end"), event(3, 120, project_id="blue", resource_id="v-1"))
    store(Event("no UUID", "odd", NOON, ()))

    assert "4 events" in page(admin_client)
    assert "1 event" in page(admin_client, type="volume.delete.end")
    assert "0 events" in page(admin_client, type="unheard.of")
    assert "2 events" in page(admin_client, resource="v-1")
    assert "1 event" in page(admin_client, project="blue")
    assert "1 event" in page(admin_client, type="volume.create.end", resource="v-1", project="red")
    assert ID.format(3) in page(admin_client, q=ID.format(3))
    assert "1 event" in page(admin_client, q="no UUID")
    assert "0 events" in page(admin_client, q="another")


@pytest.mark.parametrize("name", ["type", "resource", "project"])
def test_a_nul_finds_nothing(admin_client: Client, name: str) -> None:
    store(event(1))

    assert "0 events" in page(admin_client, **{name: "a\0b"})


def test_an_event_shows_its_traits_and_its_notification(admin_client: Client) -> None:
    store(event(1, vcpus=2, host="<b>\u202e", raw='{"payload":{"name":"<script>"}}'))

    text = rows.read(admin_client.get(f"{LIST}{ID.format(1)}/change/"))

    assert "<b>vcpus</b> (integer): 2" in text
    assert "&lt;b&gt;\\u202e" in text
    assert "&lt;script&gt;" in text
    assert "consumer/c1" in text
    assert "/admin/metering/resource/?q=v-1" in text


def test_an_event_is_only_looked_at(admin_client: Client) -> None:
    store(event(1))

    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(f"{LIST}{ID.format(1)}/change/", {"project_id": "x"}).status_code == 403
    assert admin_client.get(f"{LIST}{ID.format(1)}/delete/").status_code == 403
    assert admin_client.get(f"{LIST}{ID.format(9)}/change/").status_code == 302
    assert admin_client.get(f"{LIST}no such id/change/").status_code == 302


def test_the_list_takes_as_many_statements_for_any_number_of_events(
    admin_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    store(*(event(number, number) for number in range(30)))
    page(admin_client)  # the session's first page asks more

    with django_assert_num_queries(4):
        page(admin_client)
