from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

from collector.event_types import REMEMBERED
from collector.index import Index, load, subscribe
from collector.notification import Notification
from metering import environment
from metering.counters import Counter, Kind, Meter
from metering.errors import PluginError

PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("METERING_")}


class Quiet:
    """A listener that says nothing."""

    def __init__(self, exchange: str, event_types: Any, *meters: str, topics: Any = None) -> None:
        self.exchange, self.event_types = exchange, event_types
        self.meters = tuple(Meter(name, Kind.GAUGE, "x") for name in meters)
        if topics is not None:
            self.topics = topics

    def counters(self, notification: Notification) -> Iterable[Counter]:
        return ()


def index(**listeners: Quiet) -> Index:
    return Index(subscribe(name, listener) for name, listener in listeners.items())


def names(found: Index, exchange: str, event_type: str) -> list[str]:
    return [subscription.name for subscription in found.find(exchange, event_type)]


def test_an_event_type_finds_those_that_name_it_and_those_whose_glob_fits() -> None:
    found = index(
        b=Quiet("nova", ("compute.instance.exists",), "b"),
        a=Quiet("nova", ("compute.*", "compute.instance.*"), "a"),
        c=Quiet("nova", ("compute.?.exists",), "c"),
    )

    assert names(found, "nova", "compute.instance.exists") == ["a", "b"]
    assert names(found, "nova", "compute.x.exists") == ["a", "c"]
    assert names(found, "nova", "scheduler.run") == []


def test_the_same_event_type_on_another_exchange_is_another_one() -> None:
    found = index(a=Quiet("nova", ("http.request",), "m"), b=Quiet("glance", ("http.request",), "m"))

    assert names(found, "nova", "http.request") == ["a"]
    assert names(found, "cinder", "http.request") == []
    assert found.exchanges("http.request") == ("glance", "nova")


def test_listeners_of_one_exchange_share_its_topics() -> None:
    found = index(
        a=Quiet("nova", ("a",), "m"),
        b=Quiet("nova", ("b",), "m", topics=("notifications.info", "notifications.sample")),
        c=Quiet("cinder", ("a",), "m"),
    )

    assert found.topics == {
        "cinder": ("notifications.info",),
        "nova": ("notifications.info", "notifications.sample"),
    }


def test_a_flood_of_event_types_fills_no_memory() -> None:
    found = index(a=Quiet("nova", ("compute.*",), "m"))

    for number in range(REMEMBERED + 100):
        found.find("nova", f"made.up.{number}")

    assert found.find.cache_info().currsize == REMEMBERED


def test_of_two_that_make_one_meter_of_one_event_type_the_later_is_left_out() -> None:
    found = index(
        a=Quiet("cinder", ("volume.*",), "volume.size"),
        b=Quiet("cinder", ("*.create.end",), "volume.size", "other"),
        c=Quiet("cinder", ("snapshot.exists",), "volume.size"),
        d=Quiet("manila", ("volume.exists",), "volume.size"),
    )

    assert [subscription.name for subscription in found.subscriptions] == ["a", "c", "d"]
    assert found.left_out == {"b": "'a' makes volume.size of volume.* too"}


@pytest.mark.parametrize(
    "listener",
    [
        object(),
        Quiet("", ("a",), "m"),
        Quiet(7, ("a",), "m"),  # type: ignore[arg-type] # that is what is tried
        Quiet("nova", "volume.exists", "m"),
        Quiet("nova", (), "m"),
        Quiet("nova", ("",), "m"),
        Quiet("nova", ("volume.[ab]",), "m"),
        Quiet("nova", None, "m"),
        Quiet("nova", ("a",), "m", topics="notifications.info"),
    ],
)
def test_a_listener_that_breaks_its_contract_is_named(listener: Any) -> None:
    with pytest.raises(PluginError, match="'mine'"):
        subscribe("mine", listener)


def test_the_installed_listeners_load_and_one_setting_switches_them_off() -> None:
    everything = load(environment.load(PLAIN), PLAIN)
    some = PLAIN | {"METERING_DISABLED_PLUGINS": "neutron-network,nova.memory,glance"}

    assert set(everything.topics) >= {"nova", "glance", "cinder"}
    assert everything.left_out == {}
    names = {subscription.name for subscription in load(environment.load(some), some).subscriptions}
    assert "nova.instance" in names
    assert not {name for name in names if name in ("neutron-network", "nova.memory") or name.startswith("glance.")}


def test_what_is_read_beside_the_metered_form_of_nova_is_known_as_such() -> None:
    unversioned = load(environment.load(PLAIN), PLAIN)
    told = PLAIN | {"METERING_NOVA_NOTIFICATIONS": "versioned"}
    versioned = load(environment.load(told), told)

    assert (
        unversioned.topics["nova"] == versioned.topics["nova"] == ("notifications.info", "versioned_notifications.info")
    )
    assert unversioned.is_unread("nova", "instance.create.end")
    assert versioned.is_unread("nova", "compute.instance.create.end")
    assert not unversioned.is_unread("nova", "compute.instance.create.end")
    assert not unversioned.is_unread("cinder", "instance.create.end")
    assert not unversioned.is_unread("nova", None)


def test_two_files_of_many_rows_are_compared_by_meter_and_not_each_with_each() -> None:
    many = {
        f"{part}{number:04}": Quiet("nova", (f"a.{number}.*",), f"m{number}")
        for part in "ab"
        for number in range(2_000)
    }

    found = index(**many)

    assert len(found.subscriptions) == len(found.left_out) == 2_000
