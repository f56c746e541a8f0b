from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from metering import environment, plugins
from metering.counters import Counter, Kind, Meter
from metering.environment import Environment
from metering.errors import PluginError
from metering.management.commands.plugins import without_rivals
from metering.plugins import CENTRAL, COLLECTOR, COMPUTE, Option, Plugin

TEMPERATURE = Meter("acme.temperature", Kind.GAUGE, "C")


class Sound:
    """A compute pollster that keeps the contract."""

    meters: Any = (TEMPERATURE,)

    def poll(self, instance: object, hypervisor: object) -> Iterator[Counter]:
        yield TEMPERATURE.read(20, resource_id="r")


class WithOptions(Sound):
    options = (Option("ACME_ROOM", None, "where it hangs"), Option("ACME_SCALE", "1", "what it is multiplied by"))

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values


class Asked(Sound):
    """Counts how often it was asked, and of which settings."""

    asked: list[Environment] = []  # of all that are made

    def enabled(self, settings: Environment) -> str | None:
        self.asked.append(settings)
        return None if settings.source == "openstack" else f"there are no rooms in {settings.source}"


class Central:
    meters = (TEMPERATURE,)

    def places(self) -> Iterator[object]:
        yield from ()

    def poll(self, place: object) -> Iterator[Counter]:
        yield from ()


class Listening:
    meters = (TEMPERATURE,)
    exchange: Any = "acme"
    event_types: Any = ("room.*",)

    def counters(self, notification: object) -> Iterator[Counter]:
        yield from ()


def load(
    made: object, namespace: str = COMPUTE, environ: Mapping[str, str] | None = None, name: str = "acme", **told: str
) -> Plugin:
    """What becomes of an installed plugin, in a process that was told this."""
    [plugin] = load_all([point(made, namespace, name)], namespace, environ, **told)
    return plugin


def load_all(
    points: list[EntryPoint], namespace: str = COMPUTE, environ: Mapping[str, str] | None = None, **told: str
) -> list[Plugin]:
    return plugins.load(namespace, environment.load(told), environ or {}, points)


def point(made: object, namespace: str = COMPUTE, name: str = "acme") -> EntryPoint:
    """An entry point that gives this object."""

    class Given(EntryPoint):
        def load(self) -> object:
            if isinstance(made, BaseException):
                raise made
            return made

    return Given(name, "acme:Plugin", namespace)


def test_a_plugin_that_keeps_the_contract_is_on() -> None:
    for made, namespace in ((Sound, COMPUTE), (Central, CENTRAL), (Listening, COLLECTOR)):
        plugin = load(made, namespace)

        assert (plugin.state, plugin.reason, plugin.meters) == ("on", None, (TEMPERATURE,))
        assert isinstance(plugin.target, made)


def test_a_compute_plugin_reads_guests_or_the_node_itself() -> None:
    class OfTheNode:
        meters = (TEMPERATURE,)

        def poll_node(self, node: object) -> Iterator[Counter]:
            yield from ()

    assert load(OfTheNode).state == "on"
    assert "it is called as poll_node(node)" in (load(variant(OfTheNode, poll_node=lambda self: ())).reason or "")


def variant(of: type, **parts: Any) -> type:
    """The same plugin with other parts; None takes one away from all who look."""
    return type("Broken", (of,), parts)


async def asynchronous(self: object, instance: object, hypervisor: object) -> None:
    """A poll that nobody would wait for."""


BROKEN = [
    (COMPUTE, variant(Sound, poll=None), "it has no method poll(instance, hypervisor)"),
    (COMPUTE, variant(Sound, poll=lambda self, instance: ()), "it is called as poll(instance, hypervisor)"),
    (COMPUTE, variant(Sound, poll=asynchronous), "its poll() must not be async"),
    (COMPUTE, variant(Sound, meters=()), "its 'meters' must be a tuple of Meter, not empty"),
    (COMPUTE, variant(Sound, meters=[TEMPERATURE]), "its 'meters' must be a tuple of Meter, not empty"),
    (COMPUTE, variant(Sound, meters=(TEMPERATURE, "cpu")), "its 'meters' must be a tuple of Meter, not empty"),
    (COMPUTE, variant(Sound, meters=(TEMPERATURE,) * 2), "it names the meter 'acme.temperature' twice"),
    (COMPUTE, variant(Sound, meters=(Meter("", Kind.GAUGE, "C"),)), "its meter ''"),
    (COMPUTE, variant(Sound, meters=(Meter("a", "gauge", "C"),)), "its meter 'a' must have a Kind"),  # type: ignore[arg-type] # that is its fault
    (COMPUTE, variant(Sound, needs={"cpu"}), "its 'needs' must be a frozenset of Statistic"),
    (COMPUTE, variant(Sound, options=[]), "its 'options' must be a tuple of Option"),
    (COMPUTE, variant(WithOptions, options=(Option("a b", None, ""),)), "an option's name must be that of an env"),
    (COMPUTE, variant(WithOptions, options=(Option("A", 5, ""),)), "the default of A must be a text"),  # type: ignore[arg-type] # that is its fault
    (COMPUTE, variant(WithOptions, options=(Option("A", "", ""),) * 2), "two of its options have one name"),
    (COMPUTE, variant(Sound, enabled=lambda self: None), "it is called as enabled(settings)"),
    (COMPUTE, variant(Sound, enabled=lambda self, settings: True), "its enabled() must return a reason to be off or"),
    (COMPUTE, Sound(), "its entry point must name a class, or a function that makes the plugin, not a Sound"),
    (COMPUTE, environment, "its entry point must name a class, or a function that makes the plugin, not a module"),
    (CENTRAL, Sound, "it has no method places()"),
    (CENTRAL, variant(Central, poll=lambda self: ()), "it is called as poll(place)"),
    (COLLECTOR, variant(Listening, counters=None), "it has no method counters(notification)"),
    (COLLECTOR, variant(Listening, exchange=""), "its 'exchange' must be the name of one"),
    (COLLECTOR, variant(Listening, event_types="room.*"), "its 'event_types' must be a tuple of texts, not 'room.*'"),
    (COLLECTOR, variant(Listening, event_types=("room.[ab]",)), "its 'event_types' are exact or have * and ?"),
    (COLLECTOR, variant(Listening, topics=()), "its 'topics' must be a tuple of texts"),
    (COMPUTE, ModuleNotFoundError("No module named 'acme'"), "ModuleNotFoundError: No module named 'acme'"),
    (COMPUTE, SystemExit("this library ends whoever imports it"), "SystemExit: this library ends whoever imports it"),
    (COMPUTE, variant(Sound, __init__=lambda self: 1 / 0), "ZeroDivisionError: division by zero"),
]


@pytest.mark.parametrize(("namespace", "made", "said"), BROKEN, ids=[said for _, _, said in BROKEN])
def test_a_plugin_that_breaks_the_contract_is_off_and_its_package_and_fault_are_named(
    namespace: str, made: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = load(made, namespace)

    assert (plugin.state, plugin.target) == ("broken", None)
    assert said in (plugin.reason or "")
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("plugin acme of ? ? is off: ")
    assert said in record.getMessage()


def test_every_fault_of_a_plugin_is_said_at_once() -> None:
    plugin = load(variant(Sound, poll=None, meters=None, needs="cpu"))

    assert (plugin.reason or "").count(";") == 2


def test_a_broken_plugin_does_not_cost_the_others() -> None:
    found = load_all([point(variant(Sound, poll=None), name="a"), point(Sound, name="b")])

    assert [plugin.state for plugin in found] == ["broken", "on"]


def test_a_plugin_gets_the_values_of_its_options_before_it_works(tmp_path: Path) -> None:
    secret = tmp_path / "room"
    secret.write_text("cellar\n")

    told = load(WithOptions, environ={"ACME_ROOM": "attic", "ACME_SCALE": "9"})
    from_a_file = load(WithOptions, environ={"ACME_ROOM_FILE": str(secret), "ACME_SCALE": ""})

    assert told.target is not None
    assert told.target.values == {"ACME_ROOM": "attic", "ACME_SCALE": "9"}
    assert from_a_file.target is not None
    assert from_a_file.target.values == {"ACME_ROOM": "cellar", "ACME_SCALE": "1"}


def test_a_plugin_whose_required_option_is_not_set_is_off() -> None:
    plugin = load(WithOptions)

    assert (plugin.state, plugin.reason) == ("broken", "ACME_ROOM must be set")
    assert [option.name for option in plugin.options] == ["ACME_ROOM", "ACME_SCALE"]


def test_a_plugin_is_asked_once_whether_it_is_enabled() -> None:
    Asked.asked.clear()

    on = load(Asked)
    off = load(Asked, METERING_SOURCE="moon")

    assert len(Asked.asked) == 2
    assert on.state == "on"
    assert (off.state, off.reason, off.target) == ("off", "there are no rooms in moon", None)
    assert off.meters == (TEMPERATURE,)


def test_one_setting_switches_any_plugin_off_also_one_that_does_not_load() -> None:
    for made in (Sound, WithOptions, variant(Sound, poll=None), ImportError("gone")):
        plugin = load(made, METERING_DISABLED_PLUGINS="acme,other")
        assert (plugin.state, plugin.reason) == ("off", "named in METERING_DISABLED_PLUGINS")


def test_a_switched_off_plugin_is_not_made_and_not_asked() -> None:
    Asked.asked.clear()

    load(Asked, METERING_DISABLED_PLUGINS="acme")

    assert Asked.asked == []


def test_a_plugin_may_know_its_meters_only_when_it_is_made() -> None:
    class Declared(Sound):
        def __init__(self) -> None:
            self.meters = (Meter("acme.from.a.file", Kind.GAUGE, ""),)

    assert [meter.name for meter in load(Declared).meters] == ["acme.from.a.file"]


def find(*points: EntryPoint, namespace: str = COMPUTE, **told: str) -> list[Plugin]:
    return plugins.find(namespace, environment.load(told), {}, points)


def test_two_pollsters_that_claim_one_meter_stop_the_start_unless_one_is_off() -> None:
    rivals = point(Sound, name="a"), point(Sound, name="b")

    with pytest.raises(PluginError, match=r"plugins 'a' .* and 'b' .* both claim the meter 'acme.temperature'"):
        find(*rivals)

    assert [plugin.state for plugin in find(*rivals, METERING_DISABLED_PLUGINS="b")] == ["on", "off"]


def test_two_packages_with_one_plugin_name_stop_the_start() -> None:
    with pytest.raises(PluginError, match=r"both have a plugin named 'acme'; uninstall one"):
        find(point(Sound), point(Sound))


def test_listeners_may_share_a_meter() -> None:
    found = find(point(Listening, COLLECTOR, "a"), point(Listening, COLLECTOR, "b"), namespace=COLLECTOR)

    assert [plugin.state for plugin in found] == ["on", "on"]


def test_of_two_listeners_that_make_one_meter_of_one_event_the_later_is_shown_as_left_out() -> None:
    other = variant(Listening, exchange="another")
    points = [point(Listening, COLLECTOR, "a"), point(Listening, COLLECTOR, "b"), point(other, COLLECTOR, "c")]

    shown = without_rivals(load_all(points, COLLECTOR))

    assert [plugin.state for plugin in shown] == ["on", "off", "on"]
    assert shown[1].reason == "left out, 'a' makes acme.temperature of room.* too"
