"""Pollsters of the host itself, beside those of its guests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from metering import contracts
from metering.counters import Counter, Kind, Meter
from pollsters import runner
from pollsters.compute.hypervisor import Statistic
from pollsters.compute.power import PowerPollster
from pollsters.runner import Node
from tests.fakes import READ_AT, FakeGuest, FakeHypervisor
from tests.pollsters.test_runner import WEB

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HEAT = Meter("heat", Kind.GAUGE, "C")


class Thermometer:
    meters = (HEAT,)

    def poll_node(self, node: Node) -> Iterator[Counter]:
        yield HEAT.read(20, resource_id=node.name)


def poll(host: Any, wants: runner.Wants = lambda meter: True, **pollsters: Any) -> runner.Poll:
    return runner.poll_compute(host, pollsters, wants, 5, "o", NOW, node="node-1")


def test_the_node_is_read_once_however_many_guests_it_has() -> None:
    host = FakeHypervisor([(WEB, FakeGuest())])

    done = poll(host, heat=Thermometer(), power=PowerPollster())

    assert [(c.name, c.resource_id, c.timestamp, c.origin) for c in done.counters] == [
        ("power.state", "i-1", READ_AT, "o"),
        ("heat", "node-1", READ_AT, "o"),
    ]
    assert (done.guests, done.errors) == (1, {})


def test_a_hypervisor_of_which_nothing_is_asked_is_left_alone() -> None:
    host = FakeHypervisor([(WEB, FakeGuest())])

    done = poll(host, lambda meter: meter == "heat", heat=Thermometer(), power=PowerPollster())

    assert ([c.name for c in done.counters], done.guests, host.asked_for) == (["heat"], None, [])


def test_a_node_pollster_that_breaks_costs_only_what_it_had_not_yielded() -> None:
    class Broken(Thermometer):
        meters = (Meter("other", Kind.GAUGE, "C"),)

        def poll_node(self, node: Node) -> Iterator[Counter]:
            yield from super().poll_node(node)
            raise KeyError("a mistake in a plugin")

    done = poll(FakeHypervisor([(WEB, FakeGuest())]), broken=Broken(), heat=Thermometer(), power=PowerPollster())

    assert [c.name for c in done.counters] == ["power.state", "heat", "heat"]
    assert done.errors == {"broken": 1}


def test_the_node_and_its_guests_are_read_beside_each_other() -> None:
    both = threading.Barrier(2, timeout=10)

    class Slow(Thermometer):
        def poll_node(self, node: Node) -> Iterator[Counter]:
            both.wait()
            yield from super().poll_node(node)

    class SlowHost(FakeHypervisor):
        def read(self, needs: frozenset[Statistic], seconds: float) -> FakeHypervisor:
            both.wait()
            return super().read(needs, seconds)

    began = time.monotonic()
    done = poll(SlowHost([(WEB, FakeGuest())]), heat=Slow(), power=PowerPollster())

    assert [c.name for c in done.counters] == ["power.state", "heat"]
    assert time.monotonic() - began < 10


def test_the_contract_of_a_node_pollster_is_checked() -> None:
    class NoArgument(Thermometer):
        def poll_node(self) -> Iterator[Counter]:  # type: ignore[override] # that is the point
            yield from ()

    assert "poll_node(node)" in next(contracts.faults_of_plugin(contracts.COMPUTE, NoArgument()))
    assert list(contracts.faults_of_plugin(contracts.COMPUTE, Thermometer())) == []
