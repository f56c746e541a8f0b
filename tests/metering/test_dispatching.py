"""One slot's orders: each expected and sent once, and what nobody dispatched is a gap that can be seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import amqp.exceptions
import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from metering import packing
from metering.dispatching import MOST_MISSED, NO_ROUTE, NOT_DISPATCHED, Orders, dispatch_slot
from metering.messages import Poll
from metering.models import Node, PollSlot
from metering.sources import Source
from tests.factories import KEYS
from tests.metering.storing import record

pytestmark = pytest.mark.usefixtures("ledger")

SOURCE = Source("default", 60)
DUE = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SLOT = int(DUE.timestamp()) // 60
EVER = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Broker:
    """The far side of an order: what it took, by node."""

    deaf: set[str] = field(default_factory=set)  # nodes whose queue is gone
    away: bool = False
    taken: list[tuple[str, str, dict[str, Any], float]] = field(default_factory=list)

    def send_task(self, task: str, args: tuple[dict[str, Any]], *, routing_key: str, expires: float, **_: Any) -> None:
        if self.away:
            raise OperationalError("no broker")
        if routing_key in self.deaf:
            raise amqp.exceptions.ChannelError("NO_ROUTE", reply_code=312)
        self.taken.append((task, routing_key, args[0], expires))

    @property
    def orders(self) -> Orders:
        return Orders(cast("Celery", self))

    @property
    def nodes(self) -> list[str]:
        return sorted(node for _, node, _, _ in self.taken)


@pytest.fixture
def broker() -> Broker:
    return Broker()


def know(*publishers: str, since: datetime = EVER, enabled: bool = True) -> None:
    for publisher in publishers:
        role, _, name = publisher.partition("/")
        Node.objects.create(publisher=publisher, role=role, name=name, enabled=enabled, first_seen=since)


def tick(broker: Broker, seconds: float = 1, source: Source = SOURCE, shards: int = 2) -> None:
    dispatch_slot(source, broker.orders, shards, DUE + timedelta(seconds=seconds))


def slots(note: str | None = None) -> list[tuple[int, str]]:
    """(slots after the first, node) of those with this note."""
    found = PollSlot.objects.order_by("slot", "node")
    if note is not None:
        found = found.filter(note=note)
    return [(slot.slot - SLOT, slot.node) for slot in found]


def test_every_enabled_node_gets_one_order(broker: Broker) -> None:
    know("compute/a", "compute/b")

    tick(broker, 1.5)

    task, node, order, seconds = min(broker.taken, key=lambda taken: taken[1])
    assert broker.nodes == ["a", "b"]
    assert (task, node) == ("pollsters.poll_compute", "a")
    assert order == {
        "source": "default",
        "slot": SLOT,
        "due": DUE.isoformat(),
        "deadline": (DUE + timedelta(seconds=48)).isoformat(),
        "shard": 0,
        "shards": 1,
    }
    assert seconds == pytest.approx(46.5)
    assert slots("") == [(0, "a"), (0, "b")]
    assert set(PollSlot.objects.values_list("due", "deadline")) == {(DUE, DUE + timedelta(seconds=48))}


def test_a_disabled_node_and_what_does_not_poll_get_none(broker: Broker) -> None:
    know("compute/off", enabled=False)
    know("central/central", enabled=False)
    know("consumer/c", "api/a", "samples/s")

    tick(broker)

    assert (broker.taken, slots()) == ([], [])


def test_the_central_work_is_cut_into_shards_whoever_does_it(broker: Broker) -> None:
    know("central/central", "central/other")

    tick(broker, shards=3)

    assert [(task, node) for task, node, _, _ in broker.taken] == [("pollsters.poll_central", "central")] * 3
    assert sorted((order["shard"], order["shards"]) for _, _, order, _ in broker.taken) == [(0, 3), (1, 3), (2, 3)]
    assert PollSlot.objects.count() == 3


def test_a_tick_that_comes_twice_or_from_two_beats_orders_once(broker: Broker) -> None:
    know("compute/a", "central/central")
    for seconds in (0, 0.1, 30):
        tick(broker, seconds)

    assert broker.nodes == ["a", "central", "central"]
    assert PollSlot.objects.count() == 3


def test_a_node_that_appears_within_a_slot_is_polled_at_the_next_tick(broker: Broker) -> None:
    know("compute/a")
    tick(broker)
    know("compute/late", since=DUE + timedelta(seconds=2))
    tick(broker, 3)
    tick(broker, 61)

    assert broker.nodes == ["a", "a", "late", "late"]


def test_two_sources_have_slots_of_their_own(broker: Broker) -> None:
    know("compute/a")
    tick(broker)
    tick(broker, source=Source("slow", 600))

    assert set(PollSlot.objects.values_list("source", "slot")) == {("default", SLOT), ("slow", SLOT // 10)}


def test_slots_that_nobody_dispatched_are_expected_and_noted(broker: Broker) -> None:
    know("compute/a", "central/central")
    tick(broker)
    broker.taken.clear()

    tick(broker, 4 * 60 + 5)

    assert broker.nodes == ["a", "central", "central"]  # no order for what is over
    assert slots(NOT_DISPATCHED) == [(slot, node) for slot in (1, 2, 3) for node in ("a", "central", "central")]
    assert slots("") == [(slot, node) for slot in (0, 4) for node in ("a", "central", "central")]
    assert PollSlot.objects.missed(DUE + timedelta(days=1)).filter(note=NOT_DISPATCHED).count() == 9


def test_a_slot_found_past_its_deadline_is_noted_and_not_ordered(broker: Broker) -> None:
    know("compute/a")

    tick(broker, 48.5)

    assert (broker.taken, slots(NOT_DISPATCHED)) == ([], [(0, "a")])
    tick(broker, 49)
    assert (broker.taken, slots()) == ([], [(0, "a")])


def test_a_slot_is_ordered_until_its_deadline(broker: Broker) -> None:
    know("compute/a")

    tick(broker, 48)

    assert (broker.nodes, slots("")) == (["a"], [(0, "a")])


def test_a_missed_slot_is_not_expected_of_a_node_unknown_then(broker: Broker) -> None:
    know("compute/old")
    tick(broker)
    know("compute/new", since=DUE + timedelta(seconds=150))

    tick(broker, 241)

    assert slots(NOT_DISPATCHED) == [(1, "old"), (2, "old"), (3, "new"), (3, "old")]
    assert slots("") == [(0, "old"), (4, "new"), (4, "old")]


def test_the_first_tick_of_all_finds_nothing_missed(broker: Broker) -> None:
    know("compute/a")

    tick(broker)

    assert slots(NOT_DISPATCHED) == []


def test_after_a_long_silence_no_more_is_caught_up_with_than_a_database_bears(broker: Broker) -> None:
    know("compute/a")
    tick(broker)

    tick(broker, 60 * (MOST_MISSED + 500))

    assert PollSlot.objects.filter(note=NOT_DISPATCHED).count() == MOST_MISSED


def test_an_interval_that_was_changed_misses_no_slot_of_the_new_one(broker: Broker) -> None:
    know("compute/a")
    tick(broker)

    tick(broker, 601, Source("default", 300))

    assert [slot.due for slot in PollSlot.objects.filter(note=NOT_DISPATCHED)] == [DUE + timedelta(seconds=300)]


def test_a_node_to_which_no_route_leads_is_noted_and_costs_no_other(broker: Broker) -> None:
    know("compute/a", "compute/gone", "compute/z")
    broker.deaf = {"gone"}

    tick(broker)

    assert broker.nodes == ["a", "z"]
    assert slots(NO_ROUTE) == [(0, "gone")]


def test_another_fault_of_the_broker_is_not_taken_for_a_missing_route(broker: Broker) -> None:
    know("compute/a")
    broker.away = True

    with pytest.raises(OperationalError):
        tick(broker)

    assert slots(NO_ROUTE) == []
    assert PollSlot.objects.missed(DUE + timedelta(days=1)).count() == 1  # a gap that is counted


def test_a_receipt_that_comes_before_its_slot_is_expected_is_not_ordered_again(broker: Broker) -> None:
    know("compute/a")
    poll = Poll("default", SLOT, 0, DUE, 0)
    record(*packing.pack([], signer=KEYS.signer("compute/a"), source="openstack", poll=poll))

    tick(broker)

    assert broker.taken == []
    assert PollSlot.objects.get().received == 1


def test_a_poll_that_was_ordered_and_received_is_no_gap(broker: Broker) -> None:
    know("compute/a")
    tick(broker)
    poll = Poll("default", SLOT, 0, DUE, 0)
    record(*packing.pack([], signer=KEYS.signer("compute/a"), source="openstack", poll=poll))

    assert not PollSlot.objects.missed(DUE + timedelta(days=1)).exists()
    assert slots("") == [(0, "a")]
