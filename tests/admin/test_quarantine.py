from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from kombu import Connection

from metering import topology
from metering.admin.showing import MOST
from metering.models import Quarantine
from tests.admin import rows
from tests.factories import reading
from tests.metering.storing import batch
from tests.services import RabbitMQ

LIST = "/admin/metering/quarantine/"

pytestmark = pytest.mark.django_db


def detail(client: Client, row: Quarantine) -> str:
    return rows.read(client.get(f"{LIST}{row.pk}/change/"))


def test_quarantine_is_searched_by_reason_and_filtered_by_kind_state_and_publisher(admin_client: Client) -> None:
    rows.refused(b"a", "The signature does not fit.")
    rows.refused(b"b", "Not JSON.", kind="notification", state="replayed", publisher="")

    def listed(**chosen: str) -> str:
        return rows.read(admin_client.get(LIST, chosen))

    assert "2 quarantine" in listed()
    for chosen in (
        {"q": "signature"},
        {"kind__exact": "batch"},
        {"state__exact": "kept"},
        {"publisher": "compute/host-9"},
    ):
        assert "1 quarantine" in listed(**chosen)
        assert "Not JSON" not in listed(**chosen)


def test_a_body_is_shown_as_text_and_never_as_a_page(admin_client: Client) -> None:
    row = rows.refused(b"<script>alert(1)</script>\xff\x00\xe2\x80\xae", "<b>bold</b>", publisher="<i>me</i>")

    text = detail(admin_client, row)

    for hostile in ("<script>alert(1)", "<b>bold", "<i>me", "\x00", "\u202e"):
        assert hostile not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\xff\\x00\\u202e" in text
    assert "&lt;b&gt;bold&lt;/b&gt;" in text


def test_a_body_of_many_bytes_is_cut_with_a_word_about_it(admin_client: Client) -> None:
    row = rows.refused(b"y" * (MOST + 1_000))

    text = detail(admin_client, row)

    assert "y" * MOST in text
    assert "y" * (MOST + 1) not in text
    assert "1,000 bytes more" in text
    assert "66,536 bytes" in text


def test_details_of_a_dead_letter_are_shown(admin_client: Client) -> None:
    row = rows.refused(b"x", details={"exchange": "nova", "event_type": "compute.instance.create.end"})

    assert "&quot;exchange&quot;: &quot;nova&quot;" in detail(admin_client, row)


def test_the_list_reads_no_bodies(admin_client: Client) -> None:
    rows.refused(b"secret body")

    with CaptureQueriesContext(connection) as queries:
        assert b"secret body" not in admin_client.get(LIST).content

    assert not [query for query in queries if '"quarantine"."body"' in query["sql"]]


@pytest.mark.parametrize("address", ["0", "x", "9" * 30, "1_3B"])
def test_an_address_of_no_row_leads_back_to_the_index(admin_client: Client, address: str) -> None:
    assert admin_client.get(f"{LIST}{address}/change/")["Location"] == "/admin/"


@pytest.fixture
def sent(rabbitmq: RabbitMQ) -> Iterator[Any]:
    """The storage workers' queue on our broker, with nothing in it."""
    with Connection(rabbitmq.url) as broker:
        samples = topology.SAMPLES(broker.default_channel)
        samples.declare()
        samples.purge()
        yield samples
        samples.delete()


def send_again(client: Client, *chosen: Quarantine) -> str:
    told = {"action": "send_again", "_selected_action": [str(row.pk) for row in chosen]}
    return rows.read(client.post(LIST, told, follow=True))


def test_what_was_refused_is_sent_through_again_from_the_list(admin_client: Client, sent: Any) -> None:
    text = batch(reading(1, origin="o"))
    good, odd = rows.refused(text.encode()), rows.refused(b"no batch")
    heard = rows.refused(b"{}", kind="notification")

    said = send_again(admin_client, good, odd, heard)

    assert "1 sent through again, 1 are nothing that can be sent." in said
    assert "1 notifications stay: manage.py replay_quarantine --kind notification" in said
    assert json.loads(sent.get(no_ack=True).body)[0] == [text]
    assert sent.get(no_ack=True) is None
    assert dict(Quarantine.objects.values_list("pk", "state")) == {
        good.pk: "replayed",
        odd.pk: "kept",
        heard.pk: "kept",
    }


def test_who_may_only_look_sends_nothing(client: Client) -> None:
    row = rows.refused(batch(reading(1, origin="o")).encode())
    looker = User.objects.create_user("looker", password="x", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_quarantine"))
    client.force_login(looker)

    assert "sent through again" not in send_again(client, row)
    assert Quarantine.objects.get().state == "kept"


def test_what_the_broker_does_not_take_stays(admin_client: Client, rabbitmq: RabbitMQ) -> None:
    row = rows.refused(batch(reading(1, origin="o")).encode())
    with Connection(rabbitmq.url) as broker:
        topology.SAMPLES(broker.default_channel).delete()

    said = send_again(admin_client, row)

    assert "the broker did not take a batch" in said
    assert "0 sent through again" in said
    assert Quarantine.objects.get().state == "kept"
