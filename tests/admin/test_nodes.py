from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from metering.dispatching import NO_ROUTE, NOT_DISPATCHED
from metering.models import Node
from metering.models.reachability import with_polls
from tests.admin import rows

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def reachable(name: str, now: datetime) -> bool | None:
    answer: bool | None = with_polls(Node.objects.filter(name=name), now).get().reachable
    return answer


def test_a_node_whose_last_two_slots_brought_no_receipt_is_unreachable(now: datetime) -> None:
    rows.node()
    rows.poll(now - 4 * MINUTE)
    rows.missed_poll(now - 3 * MINUTE)
    assert reachable("host-1", now)

    rows.missed_poll(now - 2 * MINUTE)
    assert reachable("host-1", now) is False


def test_a_slot_that_is_still_open_says_nothing_against_a_node(now: datetime) -> None:
    rows.node()
    rows.poll(now - 3 * MINUTE)
    rows.missed_poll(now - 2 * MINUTE)
    rows.missed_poll(now)

    assert reachable("host-1", now)


def test_a_receipt_for_the_open_slot_makes_a_node_reachable_again(now: datetime) -> None:
    rows.node()
    rows.missed_poll(now - 3 * MINUTE)
    rows.missed_poll(now - 2 * MINUTE)
    rows.poll(now, received=1)

    assert reachable("host-1", now)


def test_slots_in_which_no_order_went_out_say_nothing_about_a_node(now: datetime) -> None:
    rows.node()
    rows.poll(now - 5 * MINUTE)
    rows.poll(now - 4 * MINUTE)
    rows.missed_poll(now - 3 * MINUTE, note=NOT_DISPATCHED)
    rows.missed_poll(now - 2 * MINUTE, note=NOT_DISPATCHED)

    assert reachable("host-1", now)


def test_a_node_of_which_too_little_is_known_is_neither_reachable_nor_not(now: datetime) -> None:
    rows.node()
    rows.missed_poll(now - 2 * MINUTE)
    rows.node("host-1", "consumer")
    rows.node("host-2", enabled=False)

    assert list(with_polls(Node.objects.all(), now).values_list("reachable", flat=True)) == [None, None, None]


def test_central_workers_are_judged_by_all_their_shards(now: datetime) -> None:
    rows.node("controller-1", "central")
    for minutes in (2, 3):
        for shard in range(4):
            rows.missed_poll(now - minutes * MINUTE, "central", shard=shard)
    assert reachable("controller-1", now) is False

    rows.poll(now - 3 * MINUTE, "central", shard=4)
    assert reachable("controller-1", now)


def test_expected_and_received_polls_of_the_last_hour_are_counted(now: datetime) -> None:
    rows.node()
    rows.poll(now - 3 * MINUTE)
    rows.poll(now - 4 * MINUTE, parts=3, received=2)
    rows.missed_poll(now - 5 * MINUTE)
    rows.missed_poll(now - 70 * MINUTE)
    rows.missed_poll(now)

    node = with_polls(Node.objects.all(), now).get()

    assert (node.received, node.expected) == (1, 3)


def test_the_list_shows_who_answers_and_is_filtered_by_it(admin_client: Client, now: datetime) -> None:
    rows.node("good", guests=17, errors={"cpu": 2}, dropped={"batches": 5})
    rows.node("bad")
    for minutes in (2, 3):
        rows.poll(now - minutes * MINUTE, "good")
        rows.missed_poll(now - minutes * MINUTE, "bad")

    everything = rows.read(admin_client.get("/admin/metering/node/"))
    unreachable = rows.read(admin_client.get("/admin/metering/node/", {"reachable": "0"}))

    for shown in ("compute/good", "2 of 2", "0 of 2", "17", "cpu 2", "batches 5", "/admin/metering/pollslot/?node=bad"):
        assert shown in everything
    assert "compute/bad" in unreachable
    assert "compute/good" not in unreachable


def test_the_list_shows_whose_clock_is_wrong_and_is_filtered_by_it(admin_client: Client) -> None:
    rows.node("fast", skew=3600.25)
    rows.node("slow", skew=-7)
    rows.node("good", skew=1)
    rows.node("silent")

    everything = rows.read(admin_client.get("/admin/metering/node/"))
    wrong = rows.read(admin_client.get("/admin/metering/node/", {"clock": "wrong"}))

    assert "3,600.2 s ahead" in everything
    assert "7.0 s behind" in everything
    assert everything.count(" right ") == 1
    assert [name for name in ("fast", "slow", "good", "silent") if f"compute/{name}" in wrong] == ["fast", "slow"]


def test_a_nodes_page_shows_its_clock(admin_client: Client, now: datetime) -> None:
    node = rows.node(skew=-90, skew_at=now)

    assert "90.0 s behind" in rows.read(admin_client.get(f"/admin/metering/node/{node.pk}/change/"))


def test_switching_a_node_off_changes_nothing_else(admin_client: Client, now: datetime) -> None:
    node = rows.node(guests=3)
    here = f"/admin/metering/node/{node.pk}/change/"

    assert admin_client.post(here, {"publisher": "compute/other", "guests": "99"}).status_code == 302

    node.refresh_from_db()
    assert (node.enabled, node.publisher, node.guests) == (False, "compute/host-1", 3)


def test_a_node_is_neither_made_nor_deleted_by_hand(admin_client: Client) -> None:
    node = rows.node()

    assert admin_client.post("/admin/metering/node/add/", {}).status_code == 403
    assert admin_client.post(f"/admin/metering/node/{node.pk}/delete/", {"post": "yes"}).status_code == 403


def test_polls_are_filtered_by_what_came_of_them(admin_client: Client, now: datetime) -> None:
    rows.poll(now - 5 * MINUTE)
    rows.poll(now - 4 * MINUTE, parts=2, received=1)
    rows.missed_poll(now - 3 * MINUTE, note=NO_ROUTE)
    rows.missed_poll(now)

    missed = rows.read(admin_client.get("/admin/metering/pollslot/", {"outcome": "missed"}))
    received = rows.read(admin_client.get("/admin/metering/pollslot/", {"outcome": "received"}))
    everything = rows.read(admin_client.get("/admin/metering/pollslot/"))

    assert "2 polls" in missed
    assert "no route" in missed
    assert "1 poll" in received
    for outcome in ("received", "in part", "missed", "waiting"):
        assert outcome in everything


def test_only_of_one_node_are_old_polls_listed(admin_client: Client, now: datetime) -> None:
    rows.poll(now - timedelta(days=9))

    assert "0 polls" in rows.read(admin_client.get("/admin/metering/pollslot/"))
    assert "1 poll" in rows.read(admin_client.get("/admin/metering/pollslot/", {"node": "host-1"}))
    until = {"due_to_0": f"{now - timedelta(days=8):%Y-%m-%d}", "due_to_1": "23:59"}
    assert "0 polls" in rows.read(admin_client.get("/admin/metering/pollslot/", until | {"source": "other"}))
