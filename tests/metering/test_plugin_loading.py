"""Plugins by entry point: a broken one costs itself, and each says why it is off."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from metering import environment, plugins
from metering.counters import Kind, Meter
from metering.environment import Environment
from metering.errors import PluginError
from metering.plugins import COLLECTOR, COMPUTE, Option, Plugin

SETTINGS = environment.load({"METERING_NODE": "host-1"})
CPU, MEMORY, DISK = (Meter(name, Kind.GAUGE, "B") for name in ("cpu", "memory", "disk"))


class Reads:
    """A pollster in order."""

    meters: tuple[Meter, ...] = (CPU,)

    def poll(self, instance: object, hypervisor: object) -> Iterator[Any]:
        yield from ()


class ReadsMemory(Reads):
    meters = (MEMORY,)


class ReadsCPUAsWell(Reads):
    meters = (MEMORY, CPU)


class Told(Reads):
    """A pollster with settings of its own."""

    options = (Option("TEST_COLOUR", "grey", "which"), Option("TEST_DEPTH", None, "how deep"))

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values


class OnlyAtHome(Reads):
    def enabled(self, settings: Environment) -> str | None:
        return None if settings.node == "home" else f"{settings.node} is not home"


class FailsToStart(Reads):
    def __init__(self) -> None:
        raise RuntimeError("no luck")


class CannotSay(Reads):
    def enabled(self, settings: Environment) -> str | None:
        raise LookupError("who knows")


class ReadsNothing:
    meters = (CPU,)


class NamesMetersOnly(Reads):
    meters = ("cpu",)  # type: ignore[assignment] # the fault that is looked for


class NamesANumber(Reads):
    meters = 5  # type: ignore[assignment] # the fault that is looked for


class NamesAnOptionOnly(Reads):
    options = ("TEST_COLOUR",)


class NamesNoMeters:
    def poll(self) -> None: ...


class Listens:
    meters = (CPU,)
    exchange = "nova"

    def counters(self, event: object) -> Iterator[Any]:
        yield from ()


class HandsOnNothing:
    meters = ()  # what is handed on may be any meter
    exchange = "ceilometer"
    event_types = ("metering",)

    def whole(self) -> None: ...


class ListensNowhere:
    meters = (CPU,)

    def counters(self, event: object) -> Iterator[Any]:
        yield from ()


def point(made: type | str, name: str | None = None, group: str = COMPUTE) -> EntryPoint:
    """An entry point as a package's metadata names it."""
    value = made if isinstance(made, str) else f"{__name__}:{made.__name__}"
    return EntryPoint(name or value.rpartition(":")[2], value, group)


def found(*points: EntryPoint, settings: Environment = SETTINGS, **environ: str) -> list[Plugin]:
    return plugins.find(points[0].group, settings, environ, points)


def test_a_plugin_in_order_is_constructed_and_on() -> None:
    [plugin] = found(point(Reads, "cpu"))

    assert isinstance(plugin.target, Reads)
    assert (plugin.name, plugin.namespace, plugin.package) == ("cpu", COMPUTE, "?")
    assert (plugin.reason, plugin.meters, plugin.options) == (None, (CPU,), ())


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (point("nowhere.at_all:Plugin"), "ModuleNotFoundError: No module named 'nowhere'"),
        (point(f"{__name__}:Missing"), "AttributeError: module .* has no attribute 'Missing'"),
        (point(FailsToStart), "RuntimeError: no luck"),
        (point(CannotSay), "LookupError: who knows"),
        (point(ReadsNothing), r"it has no method poll\(instance, hypervisor\)"),
        (point(NamesMetersOnly), ".*its 'meters' must be a tuple of Meter, not empty"),
        (point(NamesNoMeters), ".*its 'meters' must be a tuple of Meter, not empty"),
        (point(NamesANumber), ".*its 'meters' must be a tuple of Meter, not empty"),
        (point(NamesAnOptionOnly), "its 'options' must be a tuple of Option"),
        (point(Told), "TEST_DEPTH must be set"),
    ],
    ids=lambda value: value.name if isinstance(value, EntryPoint) else "",
)
def test_a_broken_plugin_is_off_with_its_reason_and_costs_no_other(broken: EntryPoint, reason: str) -> None:
    bad, good = sorted(found(broken, point(ReadsMemory, "memory")), key=lambda plugin: plugin.name == "memory")

    assert (bad.target, bad.broken) == (None, True)
    assert bad.reason is not None
    assert all(isinstance(meter, Meter) for meter in bad.meters)
    assert re.fullmatch(reason, bad.reason)
    assert (good.name, good.reason) == ("memory", None)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (
            ListensNowhere,
            "its 'exchange' must be the name of one; its 'event_types' must be a tuple of texts, not None",
        ),
        (
            Reads,
            "it has no method counters(notification); its 'exchange' must be the name of one; "
            "its 'event_types' must be a tuple of texts, not None",
        ),
        (
            HandsOnNothing,
            "it is called as whole(notification), and its own does not take that: too many positional arguments",
        ),
    ],
)
def test_a_listener_must_say_where_it_listens(made: type, reason: str) -> None:
    [plugin] = found(point(made, group=COLLECTOR))

    assert (plugin.target, plugin.reason) == (None, reason)


def test_a_plugin_is_switched_off_by_the_name_of_its_entry_point() -> None:
    settings = replace(SETTINGS, disabled_plugins=("cpu", "unknown"))

    cpu, memory = found(point(Reads, "cpu"), point(ReadsMemory, "memory"), settings=settings)

    assert (cpu.target, cpu.reason, cpu.broken) == (None, "named in METERING_DISABLED_PLUGINS", False)
    assert memory.target is not None


def test_a_plugin_that_is_switched_off_is_not_started() -> None:
    [plugin] = found(point(FailsToStart, "cpu"), settings=replace(SETTINGS, disabled_plugins=("cpu",)))

    assert plugin.reason == "named in METERING_DISABLED_PLUGINS"


def test_a_plugin_gets_its_own_options_from_the_environment_and_nothing_else() -> None:
    [plugin] = found(point(Told), TEST_DEPTH="7", METERING_SECRETS="k1:not for plugins")

    assert plugin.target is not None
    assert plugin.target.values == {"TEST_COLOUR": "grey", "TEST_DEPTH": "7"}
    assert [option.name for option in plugin.options] == ["TEST_COLOUR", "TEST_DEPTH"]


def test_a_plugin_may_decide_by_the_settings_whether_it_is_on() -> None:
    [here] = found(point(OnlyAtHome), settings=replace(SETTINGS, node="home"))
    [elsewhere] = found(point(OnlyAtHome))

    assert here.target is not None
    assert (elsewhere.target, elsewhere.reason, elsewhere.broken) == (None, "host-1 is not home", False)


def test_two_pollsters_that_claim_one_meter_are_an_error_that_names_both() -> None:
    with pytest.raises(
        PluginError, match=r"'one' .* and 'two' .* both claim the meter 'cpu'.*METERING_DISABLED_PLUGINS"
    ):
        found(point(Reads, "one"), point(ReadsCPUAsWell, "two"))


def test_of_two_that_claim_one_meter_one_may_be_switched_off() -> None:
    settings = replace(SETTINGS, disabled_plugins=("two",))

    assert [
        plugin.reason for plugin in found(point(Reads, "one"), point(ReadsCPUAsWell, "two"), settings=settings)
    ] == [
        None,
        "named in METERING_DISABLED_PLUGINS",
    ]


def test_two_packages_that_bring_one_name_are_an_error() -> None:
    with pytest.raises(PluginError, match="both have a plugin named 'cpu'"):
        found(point(Reads, "cpu"), point(ReadsMemory, "cpu"))


def test_listeners_may_share_a_meter() -> None:
    assert len(found(point(Listens, "one", COLLECTOR), point(Listens, "two", COLLECTOR))) == 2


@pytest.mark.parametrize("namespace", plugins.NAMESPACES)
def test_every_shipped_plugin_loads(namespace: str) -> None:
    shipped = [plugin for plugin in plugins.find(namespace, SETTINGS, {}) if plugin.package == "nephometer"]

    assert [
        plugin.name for plugin in shipped if plugin.broken
    ] == []  # off by its own word, as without a cloud, is no fault
    assert len(shipped) >= {COMPUTE: 6, COLLECTOR: 3}.get(namespace, 0)


def test_the_shipped_pollsters_claim_the_meters_of_a_compute_host() -> None:
    claimed = {meter.name: meter for plugin in plugins.find(COMPUTE, SETTINGS, {}) for meter in plugin.meters}

    assert claimed["cpu"] == Meter("cpu", Kind.CUMULATIVE, "ns")
    assert {"vcpus", "memory.usage", "disk.device.read.bytes", "network.incoming.bytes", "power.state"} <= set(claimed)


def test_a_compute_host_may_not_send_what_only_listeners_claim() -> None:
    refused = plugins.not_from_compute(SETTINGS, os.environ)

    assert "volume.size" in refused
    assert not refused & {meter.name for plugin in plugins.find(COMPUTE, SETTINGS, {}) for meter in plugin.meters}


def test_what_is_installed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "site_weather-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: site-weather\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[metering.poll.compute]\nweather = {__name__}:Weather\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    on = plugins.enabled(COMPUTE, SETTINGS, {})
    [ours] = [plugin for plugin in plugins.find(COMPUTE, SETTINGS, {}) if plugin.name == "weather"]

    assert isinstance(on["weather"], Weather)
    assert ours.package == "site-weather"


class Weather(Reads):
    meters = (Meter("outdoor.temperature", Kind.GAUGE, "C"),)
