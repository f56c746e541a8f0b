from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from metering import contracts
from metering.counters import Counter, Kind, Meter
from metering.errors import HypervisorAway, InstanceGone, PollError
from pollsters import runner
from pollsters.compute.cpu import CPUPollster
from pollsters.compute.hypervisor import EVERYTHING, CPUStats, Hypervisor, Instance, Statistic
from pollsters.compute.power import PowerPollster
from pollsters.runner import ComputePollster, Place
from tests.fakes import READ_AT, FakeGuest, FakeHypervisor

WEB = Instance("i-1", "instance-00000001", "p-1", "u-1", {"display_name": "web"})
OTHER = Instance("i-2", "instance-00000002", "p-2", "u-2")
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TEMPERATURE = Meter("temperature", Kind.GAUGE, "C")


def everything(meter: str) -> bool:
    return True


def poll(host: Any, **pollsters: Any) -> runner.Poll:
    return runner.poll_compute(host, pollsters, everything, 5, "an origin", NOW)


class Thermometer:
    """A pollster of somebody else: it says nothing of what it needs."""

    meters = (TEMPERATURE,)

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        yield TEMPERATURE.read(20, resource_id=instance.id)


class BrokenPollster(Thermometer):
    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        yield TEMPERATURE.read(20, resource_id=instance.id)
        raise KeyError("a mistake in a plugin")


def test_reports_the_cpu_time_of_each_instance() -> None:
    host = FakeHypervisor([(WEB, FakeGuest(cpu=CPUStats(time=42_000_000, vcpus=2)))])

    [counter] = poll(host, cpu=CPUPollster()).counters

    assert (counter.name, counter.type, counter.unit) == ("cpu", Kind.CUMULATIVE, "ns")
    assert counter.volume == 42_000_000
    assert (counter.resource_id, counter.project_id, counter.user_id) == ("i-1", "p-1", "u-1")
    assert counter.resource_metadata == {"display_name": "web", "cpu_number": 2}


def test_every_sample_of_a_poll_has_the_moment_of_the_reading_and_the_polls_origin() -> None:
    host = FakeHypervisor([(WEB, FakeGuest()), (OTHER, FakeGuest())])

    done = poll(host, cpu=CPUPollster(), power=PowerPollster())

    assert done.read_at == READ_AT
    assert {(c.timestamp, c.origin) for c in done.counters} == {(READ_AT, "an origin")}
    assert len(done.counters) == 4
    assert done.guests == 2


def test_a_pollsters_own_timestamp_and_origin_are_kept() -> None:
    class Historian(Thermometer):
        def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
            yield TEMPERATURE.read(19, resource_id="r", timestamp=NOW, origin="the archive")

    [counter] = poll(FakeHypervisor([(WEB, FakeGuest())]), history=Historian()).counters

    assert (counter.timestamp, counter.origin) == (NOW, "the archive")


def test_an_instance_deleted_during_the_poll_does_not_cost_the_others() -> None:
    host = FakeHypervisor([(OTHER, FakeGuest(cpu=InstanceGone("it went"))), (WEB, FakeGuest())])

    done = poll(host, cpu=CPUPollster(), power=PowerPollster())

    assert [(c.name, c.resource_id) for c in done.counters] == [("cpu", "i-1"), ("power.state", "i-1")]
    assert done.errors == {}


def test_a_reading_that_fails_is_counted_under_its_pollster_and_costs_only_itself() -> None:
    host = FakeHypervisor([(OTHER, FakeGuest(cpu=PollError("no clock"))), (WEB, FakeGuest())])

    done = poll(host, cpu=CPUPollster(), power=PowerPollster())

    assert {(c.name, c.resource_id) for c in done.counters} == {
        ("cpu", "i-1"),
        ("power.state", "i-1"),
        ("power.state", "i-2"),
    }
    assert done.errors == {"cpu": 1}


def test_a_broken_pollster_costs_only_its_own_and_its_traceback_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = FakeHypervisor([(WEB, FakeGuest()), (OTHER, FakeGuest())])

    with caplog.at_level(logging.WARNING):
        done = poll(host, broken=BrokenPollster(), cpu=CPUPollster())

    assert [c.name for c in done.counters] == ["temperature", "cpu", "temperature", "cpu"]
    assert done.errors == {"broken": 2}
    assert caplog.text.count("Traceback") == 1
    assert "a mistake in a plugin" in caplog.text


def test_a_pollster_that_yields_something_else_is_broken() -> None:
    class Confused(Thermometer):
        def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
            yield {"name": "temperature"}  # type: ignore[misc] # that is the point

    done = poll(FakeHypervisor([(WEB, FakeGuest())]), confused=Confused())

    assert done.counters == []
    assert done.errors == {"confused": 1}


def test_only_the_meters_that_the_source_asks_for_are_polled_and_read() -> None:
    host = FakeHypervisor([(WEB, FakeGuest())])
    pollsters: dict[str, ComputePollster] = {"cpu": CPUPollster(), "power": PowerPollster(), "heat": BrokenPollster()}

    done = runner.poll_compute(host, pollsters, lambda meter: meter == "power.state", 5, "o", NOW)

    assert [c.name for c in done.counters] == ["power.state"]
    assert done.errors == {}
    assert host.asked_for == [frozenset({Statistic.STATE})]


def test_a_pollster_that_does_not_say_what_it_needs_gets_everything() -> None:
    host = FakeHypervisor([(WEB, FakeGuest())])

    poll(host, power=PowerPollster(), heat=Thermometer())

    assert host.asked_for == [EVERYTHING]


def test_a_host_that_cannot_be_read_gives_a_poll_of_no_samples_that_says_so() -> None:
    class DeadHost:
        def read(self, needs: frozenset[Statistic], seconds: float) -> Hypervisor:
            raise HypervisorAway("libvirt is not running")

    done = poll(DeadHost(), cpu=CPUPollster())

    assert (done.read_at, done.counters, done.guests) == (NOW, [], None)
    assert done.errors == {"hypervisor": 1}


def test_what_went_wrong_with_the_host_is_in_the_polls_errors() -> None:
    host = FakeHypervisor([(WEB, FakeGuest(cpu=PollError("its monitor hangs")))])
    host.errors = {"hung guests": 1}

    assert poll(host, cpu=CPUPollster()).errors == {"hung guests": 1, "cpu": 1}


class NoMeters:
    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        yield from ()


class MetersByName(Thermometer):
    meters = ("temperature",)  # type: ignore[assignment] # that is the point


class NoPoll:
    meters = (TEMPERATURE,)


class PollOfOneArgument(NoPoll):
    def poll(self, instance: Instance) -> Iterator[Counter]:
        yield from ()


class NeedsByName(Thermometer):
    needs = frozenset({"electricity"})


@pytest.mark.parametrize(
    ("pollster", "fault"),
    [
        (NoMeters(), "'meters' must be a tuple of Meter"),
        (MetersByName(), "'meters' must be a tuple of Meter"),
        (NoPoll(), "poll(instance, hypervisor)"),
        (PollOfOneArgument(), "poll(instance, hypervisor)"),
        (NeedsByName(), "'needs' must be a frozenset of Statistic"),
    ],
)
def test_a_plugin_that_breaks_the_contract_is_told_how(pollster: object, fault: str) -> None:
    assert fault in "; ".join(contracts.faults_of_plugin(contracts.COMPUTE, pollster))


def test_plugins_that_keep_the_contract_are_taken() -> None:
    for pollster in (CPUPollster(), Thermometer()):
        assert list(contracts.faults_of_plugin(contracts.COMPUTE, pollster)) == []


class Clouds:
    """A central pollster with one sample at each place."""

    meters = (TEMPERATURE,)
    everywhere: tuple[Place, ...] = (Place("dns", "north"), Place("dns", "south"), Place("volume", "north", "p-1"))

    def places(self) -> Iterable[Place]:
        return self.everywhere

    def poll(self, place: Place) -> Iterator[Counter]:
        yield TEMPERATURE.read(1, resource_id=f"{place.service}/{place.region}")


def poll_central(pollster: Any, *, shard: int = 0, shards: int = 1, seconds: float = 60) -> runner.Poll:
    def origin(place: Place) -> str:
        return runner.origin_text("default", 7, *place.parts)

    def takes(place: Place) -> bool:
        return runner.share(place, shards) == shard

    return runner.poll_central({"clouds": pollster}, everything, takes, origin, NOW, seconds)


def test_a_central_sample_has_the_due_time_and_an_origin_that_names_its_place() -> None:
    counters = poll_central(Clouds()).counters

    assert {counter.timestamp for counter in counters} == {NOW}
    assert [counter.origin for counter in counters] == [
        '["poll","default",7,"dns","north",null,null]',
        '["poll","default",7,"dns","south",null,null]',
        '["poll","default",7,"volume","north","p-1",null]',
    ]


def test_every_place_falls_to_exactly_one_shard() -> None:
    class Many(Clouds):
        everywhere = tuple(Place("dns", f"region-{number}") for number in range(100))

    shares = [[c.resource_id for c in poll_central(Many(), shard=shard, shards=8).counters] for shard in range(8)]

    assert all(shares)
    assert sorted(itertools.chain(*shares)) == sorted(f"dns/region-{number}" for number in range(100))


def test_a_service_that_fails_costs_only_its_own_place() -> None:
    class Half(Clouds):
        def poll(self, place: Place) -> Iterator[Counter]:
            if place.region == "south":
                raise TimeoutError("no answer")
            yield from super().poll(place)

    done = poll_central(Half())

    assert [counter.resource_id for counter in done.counters] == ["dns/north", "volume/north"]
    assert done.errors == {"clouds": 1}


def test_a_pollster_that_cannot_tell_its_places_is_counted() -> None:
    class Lost(Clouds):
        def places(self) -> Iterable[Place]:
            raise ConnectionError("no catalogue")

    assert poll_central(Lost()).errors == {"clouds": 1}


def test_regions_of_one_name_in_two_clouds_are_two_places() -> None:
    class Two(Clouds):
        everywhere = (Place("dns", "north", cloud="a"), Place("dns", "north", cloud="b"))

    assert len({counter.origin for counter in poll_central(Two()).counters}) == 2


def test_a_place_for_which_no_time_is_left_is_counted_and_not_asked() -> None:
    class Slow(Clouds):
        def poll(self, place: Place) -> Iterator[Counter]:
            time.sleep(0.05)
            yield from super().poll(place)

    done = poll_central(Slow(), seconds=0.01)

    assert [counter.resource_id for counter in done.counters] == ["dns/north"]
    assert done.errors == {"clouds": 2}


def test_a_central_pollster_that_wants_to_know_is_told_when_the_poll_must_end() -> None:
    class Punctual(Clouds):
        until = 0.0

        def begin(self, until: float) -> None:
            self.until = until

    pollster = Punctual()
    before = time.monotonic()

    poll_central(pollster, seconds=60)

    assert before + 60 <= pollster.until <= time.monotonic() + 60


def test_a_central_plugin_without_places_is_told_so() -> None:
    assert "places()" in "; ".join(contracts.faults_of_plugin(contracts.CENTRAL, PollOfOneArgument()))
