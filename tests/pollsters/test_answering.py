from __future__ import annotations

from collections import Counter as Tally
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from celery import Celery

from metering import messages
from metering.counters import Kind, Meter
from metering.messages import Header
from metering.publish import Publisher
from metering.signing import Signer
from metering.sources import Source
from metering.spool import Spool
from pollsters import runner
from pollsters.answering import Desk
from pollsters.order import PollOrder
from tests.fakes import READ_AT, FakeBroker

CPU = Meter("cpu", Kind.CUMULATIVE, "ns")
SOURCE = Source("default", 60)


class Host:
    """Counts how often it was read."""

    def __init__(self) -> None:
        self.readings = 0

    def take(self, source: Source, now: datetime) -> runner.Poll:
        self.readings += 1
        counter = CPU.read(self.readings, resource_id="i-1", timestamp=READ_AT, origin="o")
        return runner.Poll(READ_AT, [counter], guests=1, errors=Tally({"disk": 2}))


def make_desk(folder: Path, broker: FakeBroker) -> Desk:
    publisher = Publisher(cast("Celery", broker), Signer("compute/node-1", "k1", bytes(32)), "openstack")
    return Desk(publisher, Spool(folder, 1 << 20), {SOURCE.name: SOURCE}, "node-1")


def order(slot: int = 1, source: str = "default", late: bool = False) -> PollOrder:
    due = datetime.now(UTC) - timedelta(seconds=100 if late else 1)
    return PollOrder(source, slot, due, due + timedelta(seconds=48))


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def desk(tmp_path: Path, broker: FakeBroker) -> Desk:
    return make_desk(tmp_path / "spool", broker)


def headers(broker: FakeBroker) -> list[Header]:
    return [messages.read(batch).header for batch in broker.batches]


def test_an_order_is_answered_with_its_samples_and_a_receipt(desk: Desk, broker: FakeBroker) -> None:
    desk.answer(order(slot=7), Host().take)

    [header] = headers(broker)
    [message] = messages.unpack(broker.batches[0])
    assert (header.polling_source, header.slot, header.node, header.shard) == ("default", 7, "node-1", 0)
    assert (header.read_at, header.guests, header.errors) == (READ_AT, 1, {"disk": 2})
    assert (message["counter_name"], message["resource_id"]) == ("cpu", "i-1")


def test_an_order_that_comes_twice_is_read_once(desk: Desk, broker: FakeBroker) -> None:
    host = Host()

    desk.answer(order(), host.take)
    desk.answer(order(), host.take)

    assert host.readings == 1
    assert len(broker.batches) == 1


def test_while_the_broker_is_away_readings_wait_and_then_go_out_unchanged_oldest_first(
    desk: Desk, broker: FakeBroker, tmp_path: Path
) -> None:
    host = Host()
    broker.away = True
    desk.answer(order(slot=1), host.take)
    desk.answer(order(slot=2), host.take)
    assert broker.batches == []

    broker.away = False
    after_a_restart = make_desk(tmp_path / "spool", broker)
    after_a_restart.answer(order(slot=2), host.take)

    assert host.readings == 2
    assert [header.slot for header in headers(broker)] == [1, 2]


def test_an_order_past_its_deadline_is_not_read(desk: Desk, broker: FakeBroker) -> None:
    host = Host()

    desk.answer(order(late=True), host.take)

    assert (host.readings, broker.batches) == (0, [])


def test_an_order_for_an_unknown_source_is_answered_with_a_receipt_that_says_so(desk: Desk, broker: FakeBroker) -> None:
    host = Host()

    desk.answer(order(source="of another file"), host.take)

    [header] = headers(broker)
    assert host.readings == 0
    assert (header.polling_source, header.errors) == ("of another file", {"unknown source": 1})
    assert header.samples == 0
    assert header.read_at is not None
