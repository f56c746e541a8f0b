"""A batch's header as a receipt: the node lives, and a poll was received, once however often it is delivered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metering import packing
from metering.messages import Poll
from metering.models import Node, PollSlot, Sample
from tests.factories import KEYS, NOON, at, reading
from tests.metering.storing import RULES, batch, record

pytestmark = pytest.mark.usefixtures("ledger")

POLL = Poll("default", 29_600_000, 0, NOON, 3, {"disk": 2}, {"polls": 1, "samples": 40})


def parts(samples: int, poll: Poll = POLL, publisher: str = "compute/host-1") -> list[str]:
    readings = [reading(1, resource=f"r-{number}", origin="o") for number in range(samples)]
    return packing.pack(readings, signer=KEYS.signer(publisher), source="openstack", poll=poll)


def poll() -> dict[str, Any]:
    """The one poll there is."""
    return {**PollSlot.objects.values().get()}


def test_any_genuine_batch_makes_its_publisher_known() -> None:
    record(batch(reading()), batch(reading(), publisher="consumer/c"))

    assert list(Node.objects.values_list("publisher", "role", "name", "enabled", "last_poll")) == [
        ("compute/host-1", "compute", "host-1", True, None),
        ("consumer/c", "consumer", "c", True, None),
    ]
    assert not PollSlot.objects.exists()


def test_an_announcement_makes_a_node_known_and_is_no_poll() -> None:
    record(*packing.pack([], signer=KEYS.signer("compute/host-1"), source="openstack", poll=Poll("default", None)))

    assert Node.objects.get().name == "host-1"
    assert not PollSlot.objects.exists()


def test_a_poll_tells_of_its_node() -> None:
    record(*parts(2))

    node = Node.objects.get()
    assert (node.last_poll, node.guests, node.errors, node.dropped) == (
        NOON,
        3,
        {"disk": 2},
        {"polls": 1, "samples": 40},
    )
    found = poll()
    assert (found["node"], found["source"], found["slot"], found["shard"]) == ("host-1", "default", 29_600_000, 0)
    assert (found["samples"], found["received"], found["parts"], found["guests"]) == (2, 1, 1, 3)
    assert (found["read_at"], found["errors"], found["note"]) == (NOON, {"disk": 2}, "not expected")


def test_what_is_no_poll_leaves_the_last_poll_s_figures() -> None:
    record(*parts(2), batch(reading()))

    node = Node.objects.get()
    assert (node.last_poll, node.guests, node.errors) == (NOON, 3, {"disk": 2})


def test_a_poll_of_many_batches_is_received_when_all_are_whatever_their_order() -> None:
    texts = parts(2_500)
    assert len(texts) == 3

    record(texts[2], texts[0])
    assert (poll()["received"], poll()["parts"], poll()["samples"]) == (2, 3, 1_500)
    assert PollSlot.objects.missed(at(3_600)).exists()
    record(texts[1])

    assert (poll()["received"], poll()["parts"], poll()["samples"]) == (3, 3, 2_500)
    assert sorted(poll()["parts_received"]) == [0, 1, 2]
    assert not PollSlot.objects.missed(at(3_600)).exists()


def test_a_receipt_delivered_twice_is_counted_once() -> None:
    record(*parts(2), *parts(2), *parts(2))

    assert (poll()["received"], poll()["samples"], Sample.objects.count()) == (1, 2, 2)


def test_an_expected_poll_is_received() -> None:
    PollSlot.objects.create(source="default", slot=29_600_000, node="host-1", shard=0, due=at(-1), deadline=at(47))

    record(*parts(0))

    found = poll()
    assert (found["note"], found["due"], found["received"], found["samples"]) == ("", at(-1), 1, 0)


def test_source_slot_node_and_shard_each_make_another_poll() -> None:
    others = [
        (POLL, "compute/host-1"),
        (POLL, "compute/host-2"),
        (Poll("other", 29_600_000, 0, NOON), "compute/host-1"),
        (Poll("default", 29_600_001, 0, NOON), "compute/host-1"),
        (Poll("default", 29_600_000, 1, NOON), "compute/host-1"),
    ]
    for told, publisher in others:
        record(*parts(0, told, publisher))

    assert PollSlot.objects.count() == 5


def test_central_workers_share_their_polls() -> None:
    for shard, publisher in enumerate(["central/central", "central/c-1", "central/c-2"]):
        record(*parts(0, Poll("default", 7, shard, NOON), publisher))

    assert set(PollSlot.objects.values_list("node", flat=True)) == {"central"}
    assert PollSlot.objects.count() == 3


def test_a_host_answers_for_itself_alone_whatever_node_it_names() -> None:
    texts = packing.pack([], signer=KEYS.signer("compute/host-1"), source="openstack", poll=POLL, node="host-2")
    record(*texts)

    assert poll()["node"] == "host-1"


@pytest.mark.parametrize("publisher", ["consumer/c", "api/a", "samples/s"])
def test_nobody_else_polls(publisher: str) -> None:
    record(*parts(1, publisher=publisher))

    assert not PollSlot.objects.exists()
    assert Node.objects.get().publisher == publisher


def test_a_header_that_was_tampered_with_is_no_receipt_and_its_samples_count() -> None:
    forged = json.loads(parts(1)[0])
    forged["header"]["slot"] += 1

    record(json.dumps(forged))

    assert (Sample.objects.count(), PollSlot.objects.count(), Node.objects.count()) == (1, 0, 0)


def test_a_disabled_node_s_receipts_do_not_count() -> None:
    record(batch(reading()))
    Node.objects.update(enabled=False)

    record(*parts(1))

    assert not PollSlot.objects.exists()
    assert Node.objects.get().last_poll is None


def test_an_old_receipt_does_not_turn_back_the_node_s_clock() -> None:
    record(*parts(0, Poll("default", 8, 0, at(60))), *parts(0, Poll("default", 7, 0, at(0))))

    assert Node.objects.get().last_poll == at(60)


@pytest.mark.parametrize("slot", [0, 1 << 53])
def test_numbers_at_their_bounds_fit_into_their_columns(slot: int) -> None:
    told = Poll("x" * 200, slot, 100_000, NOON, (1 << 31) - 1, {"e" * 1_000: 1 << 53})
    [text] = packing.pack([], signer=KEYS.signer("compute/host-1"), source="openstack", poll=told)
    assert not record(text, rules=RULES)[0].refused

    assert (poll()["slot"], poll()["guests"]) == (slot, (1 << 31) - 1)
