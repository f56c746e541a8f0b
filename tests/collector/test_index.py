from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.index import REMEMBERED, Index, load, overlap, subscribe
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
    some = PLAIN | {"METERING_DISABLED_PLUGINS": "instance,image"}

    assert set(everything.topics) >= {"nova", "glance", "cinder"}
    assert everything.left_out == {}
    assert {"instance", "image"} & {s.name for s in load(environment.load(some), some).subscriptions} == set()


globs = st.text(alphabet="ab.*?", max_size=6)


@given(globs, st.text(alphabet="ab.", max_size=6))
def test_overlap_of_a_glob_and_a_name_is_that_it_fits(glob: str, name: str) -> None:
    assert overlap(glob, name) == overlap(name, glob) == fnmatch.fnmatchcase(name, glob)


@given(globs, globs, st.text(alphabet="ab.", max_size=6))
def test_two_globs_that_fit_one_name_overlap(one: str, other: str, name: str) -> None:
    if fnmatch.fnmatchcase(name, one) and fnmatch.fnmatchcase(name, other):
        assert overlap(one, other)
