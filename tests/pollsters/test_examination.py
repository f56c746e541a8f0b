"""One dry poll of a host, told meter by meter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from metering.counters import Counter, Kind, Meter
from metering.doctor.finding import Finding, Verdict
from metering.errors import HypervisorAway, PollError
from metering.plugins import CENTRAL, COMPUTE, Plugin
from metering.sources import Source
from pollsters import examination
from pollsters.compute.hypervisor import Host, Hypervisor, Instance, Statistic
from pollsters.runner import Node, Place
from tests.fakes import FakeGuest, FakeHypervisor

WEB = Instance("i-1", "instance-00000001", "p-1", "u-1")
EVERYTHING = (Source("default", 60),)
URI = "qemu:///system"


class Reads:
    """A pollster of one meter: what it yields, or raises, for each guest or place."""

    def __init__(self, meter: str, gives: float | Exception | None = 1) -> None:
        self.meters = (Meter(meter, Kind.GAUGE, ""),)
        self._gives = gives

    def poll(self, about: Instance | Place, hypervisor: object = None) -> Iterator[Counter]:
        if isinstance(self._gives, Exception):
            raise self._gives
        if self._gives is not None:
            yield self.meters[0].read(self._gives, resource_id=str(about))

    def places(self) -> Iterable[Place]:
        return [Place("image", "north"), Place("image", "south")]


class ReadsTheNode:
    meters = (Meter("fan", Kind.GAUGE, "RPM"),)

    def poll_node(self, node: Node) -> Iterator[Counter]:
        yield from ()


def plugin(target: Any, namespace: str = COMPUTE, **fields: Any) -> Plugin:
    meters = target.meters if target is not None else (Meter("off", Kind.GAUGE, ""),)
    values: dict[str, Any] = {"reason": None, "meters": meters} | fields
    return Plugin(f"the-{meters[0].name}", namespace, "acme", target, **values)


def host(guests: int = 1) -> FakeHypervisor:
    return FakeHypervisor([(WEB, FakeGuest()) for _ in range(guests)])


def compute(
    *found: Plugin, of: Host | None = None, known: Sequence[Source] = EVERYTHING, meter: str | None = None
) -> dict[str, Finding]:
    """What is found, by what it is about."""
    findings = examination.compute(of or host(), URI, found, known, "host-1", meter)
    return {finding.about: finding for finding in findings}


def test_a_meter_that_comes_is_good() -> None:
    found = compute(plugin(Reads("cpu")))

    assert str(found["hypervisor"]) == "good   hypervisor: qemu:///system answers; guests that are metered: 1"
    assert str(found["meter cpu"]) == "good   meter cpu: yes, 1 sample"


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (plugin(Reads("perf.cycles", None)), "no: the hypervisor offers it for none of its guests (1)"),
        (
            plugin(Reads("cpu", PollError("its monitor hangs"))),
            "no: 1 readings failed, first of i-1: its monitor hangs",
        ),
        (plugin(Reads("cpu", KeyError("time"))), "no: 1 readings failed, first of i-1: 'time' (KeyError)"),
        (plugin(None, reason="there is no device"), "no: its plugin the-off is off: there is no device"),
        (plugin(None, reason="it has no poll", broken=True), "no: its plugin the-off is broken: it has no poll"),
        (plugin(ReadsTheNode()), "no: this machine offers none"),
    ],
)
def test_a_meter_that_does_not_come_says_why(read: Plugin, told: str) -> None:
    name = read.meters[0].name

    in_passing = compute(read)[f"meter {name}"]
    asked_for = compute(read, meter=name)[f"meter {name}"]

    assert in_passing.said == asked_for.said == told
    # What need not come is no fault, unless somebody asks for it; what fails always is.
    assert in_passing.verdict is (Verdict.WRONG if "failed" in told else Verdict.NOTE)
    assert asked_for.verdict is Verdict.WRONG


def test_the_hint_says_what_a_guest_must_have() -> None:
    found = compute(plugin(Reads("perf.cycles", None)))

    assert "enabled_perf_events" in found["meter perf.cycles"].remedy


def test_a_meter_that_no_source_asks_for_is_read_all_the_same_and_told_so() -> None:
    found = compute(plugin(Reads("cpu")), known=[Source("default", 60, ("!cpu",))])

    assert found["meter cpu"].said == "it could be read, but no source asks for it"


def test_a_meter_of_which_some_readings_fail_is_told_with_both() -> None:
    class Half(Reads):
        def poll(self, about: Instance | Place, hypervisor: object = None) -> Iterator[Counter]:
            yield from super().poll(about)
            raise PollError("no second disk")

    found = compute(plugin(Half("disk")))

    assert found["meter disk"].said == "yes, 1 sample, but 1 readings failed, first of i-1: no second disk"
    assert found["meter disk"].verdict is Verdict.NOTE


def test_a_host_without_guests_says_so() -> None:
    found = compute(plugin(Reads("cpu")), of=host(0))

    assert found["hypervisor"].verdict is Verdict.NOTE
    assert found["meter cpu"].said == "no: no guest runs here"


class Away:
    """A hypervisor that cannot be read."""

    def __init__(self, why: str) -> None:
        self._why = why

    def read(self, needs: frozenset[Statistic], seconds: float) -> Hypervisor:
        raise HypervisorAway(self._why)


@pytest.mark.parametrize(
    ("why", "remedy"),
    [
        ("Failed to connect socket to '/run/libvirt-sock-ro': No such file or directory", "is libvirtd running"),
        ("Failed to connect socket to '/run/libvirt-sock-ro': Permission denied", "add it to the group libvirt"),
        ("authentication unavailable: no polkit agent", "add it to the group libvirt"),
        ("libvirt did not answer within 10.0 s", "libvirtd hangs"),
        ("internal error", "look at libvirtd's log"),
    ],
)
def test_a_hypervisor_that_cannot_be_read_says_why_and_what_to_do(why: str, remedy: str) -> None:
    found = compute(plugin(Reads("cpu")), plugin(ReadsTheNode()), of=Away(why))

    assert (found["hypervisor"].verdict, found["hypervisor"].said) == (Verdict.WRONG, why)
    assert remedy in found["hypervisor"].remedy
    assert found["meter cpu"].said == "no: the hypervisor could not be read"
    assert found["meter fan"].said == "no: this machine offers none"


def test_guests_that_hang_are_told() -> None:
    hung = host()
    hung.errors = {"hung guests": 1}

    assert compute(plugin(Reads("cpu")), of=hung)["hypervisor"].said.startswith("1 hung guests")


def test_a_name_with_a_variable_part_stands_for_all_that_begin_so() -> None:
    class Flavors(Reads):
        def poll(self, about: Instance | Place, hypervisor: object = None) -> Iterator[Counter]:
            yield Meter("instance:m1.tiny", Kind.GAUGE, "").read(1, resource_id="i-1")

    assert compute(plugin(Flavors("instance:<flavor>")))["meter instance:<flavor>"].verdict is Verdict.GOOD


def central(*found: Plugin, meter: str | None = None) -> dict[str, Finding]:
    return {finding.about: finding for finding in examination.central(found, EVERYTHING, meter)}


def test_central_meters_are_told_with_the_places_that_were_asked() -> None:
    found = central(
        plugin(Reads("image.size"), CENTRAL),
        plugin(Reads("image", None), CENTRAL),
        plugin(Reads("image.age", PollError("401: who are you?")), CENTRAL),
        plugin(Reads("cpu")),
    )

    assert found["clouds"].said == "asked: image in north; image in south"
    assert found["meter image.size"].said == "yes, 2 samples"
    assert found["meter image"].said == "no: the services asked have nothing of it"
    assert found["meter image.age"].verdict is Verdict.WRONG
    assert "401: who are you?" in found["meter image.age"].said
    assert "meter cpu" not in found


def test_no_cloud_to_ask_is_wrong() -> None:
    assert central()["clouds"].verdict is Verdict.WRONG
