"""Every shipped row and listener, against recorded bodies of every service, and what these must give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from collector.hearing import hear
from collector.index import Index, load
from tests.collector.bodies import FOLDER, RECORDED, body, recorded
from tests.collector.rows import PLUGINS, SETTINGS, VERSIONED

PROJECT, USER = "4f1d0c1b2a6e4b6f9b7f6a0d2c3e5f70", "9c7b5a3d1e2f40518a6b7c8d9e0f1a2b"
INDEXES = {False: load(SETTINGS, {}), True: load(VERSIONED, {})}  # by whether nova's versioned form is metered
SHORT = {"P": PROJECT, "U": USER, "-": None, "''": ""}


@dataclass(frozen=True)
class Expected:
    """What a body gives: (meter, type, unit, volume, resource, project, user) of each sample."""

    event_type: str
    exchanges: tuple[str, ...]
    versioned: bool
    samples: frozenset[tuple[str | float | None, ...]]


def expected() -> Iterator[Expected]:
    for block in (FOLDER / "samples.txt").read_text().split("\n\n")[1:]:
        head, *lines = block.strip().splitlines()
        event_type, *said = head.split()
        exchanges = tuple(name for name in said if name not in ("-", "versioned"))
        samples = frozenset(tuple(_field(number, text) for number, text in enumerate(line.split())) for line in lines)
        yield Expected(event_type, exchanges, "versioned" in said, samples)


def _field(number: int, text: str) -> str | float | None:
    return float(text) if number == 3 else SHORT.get(text, text)


EXPECTED = list(expected())


def test_of_every_recorded_body_it_is_said_what_it_gives() -> None:
    assert sorted(one.event_type for one in EXPECTED) == RECORDED


@pytest.mark.parametrize("one", EXPECTED, ids=lambda one: one.event_type)
def test_a_recorded_body_gives_exactly_its_samples(one: Expected) -> None:
    index = INDEXES[one.versioned]
    assert set(index.exchanges(one.event_type)) == set(one.exchanges)

    for exchange in one.exchanges:
        heard = hear(body(recorded(one.event_type)), exchange, index)

        made = [(c.name, str(c.type), c.unit, c.volume, c.resource_id, c.project_id, c.user_id) for c in heard.counters]
        assert heard.failures == ()
        assert len(made) == len(one.samples)
        assert set(made) == one.samples
        assert {c.origin for c in heard.counters} == {recorded(one.event_type)["message_id"]}


def test_every_shipped_row_and_listener_is_hit_by_a_recorded_body() -> None:
    assert _names(INDEXES[False]) | _names(INDEXES[True]) == set(PLUGINS)

    for versioned, index in INDEXES.items():
        hit = {
            subscription.name
            for one in EXPECTED
            for exchange in one.exchanges
            for subscription in index.find(exchange, one.event_type)
            if any(_makes(subscription.name, index, one, exchange))
        }
        relays = {subscription.name for subscription in index.subscriptions if subscription.relays}
        assert _names(index) - hit - relays == set(), f"versioned: {versioned}"


def _makes(name: str, index: Index, one: Expected, exchange: str) -> Iterator[bool]:
    alone = Index(subscription for subscription in index.subscriptions if subscription.name == name)
    yield bool(hear(body(recorded(one.event_type)), exchange, alone).counters)


def _names(index: Index) -> set[str]:
    assert index.left_out == {}
    return {subscription.name for subscription in index.subscriptions}


@pytest.mark.parametrize("event_type", RECORDED)
def test_no_secret_of_a_body_gets_into_a_sample(event_type: str) -> None:
    for index in INDEXES.values():
        for exchange in index.exchanges(event_type):
            for counter in hear(body(recorded(event_type)), exchange, index).counters:
                assert "must-never-be-kept" not in str(counter.resource_metadata)
