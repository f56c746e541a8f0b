from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from metering.errors import MalformedOrder
from pollsters.order import PollOrder

FIELDS = {
    "source": "default",
    "slot": 29_000_000,
    "due": "2026-05-01T12:00:00+00:00",
    "deadline": "2026-05-01T12:00:48+00:00",
    "shard": 3,
    "shards": 8,
}


def test_an_order_says_what_to_read_until_when() -> None:
    order = PollOrder.parse(FIELDS)

    assert (order.source, order.slot, order.shard, order.shards) == ("default", 29_000_000, 3, 8)
    assert order.due == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert order.deadline == datetime(2026, 5, 1, 12, 0, 48, tzinfo=UTC)
    assert order.key == ("default", 29_000_000, 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"source": ""}, "source"),
        ({"source": 7}, "source"),
        ({"slot": "12"}, "slot"),
        ({"slot": True}, "slot"),
        ({"slot": -1}, "slot"),
        ({"due": None}, "due"),
        ({"deadline": "tomorrow, or so"}, "deadline"),
        ({"shards": 0}, "shards"),
        ({"shard": 8}, "shard 8 is not one of 8"),
    ],
)
def test_a_malformed_order_is_refused_with_the_field_that_is_wrong(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(MalformedOrder, match=said):
        PollOrder.parse(FIELDS | wrong)


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_of_an_order_may_be_missing(name: str) -> None:
    with pytest.raises(MalformedOrder, match=name):
        PollOrder.parse({key: value for key, value in FIELDS.items() if key != name})


def test_an_order_that_is_no_object_is_refused() -> None:
    with pytest.raises(MalformedOrder, match="list"):
        PollOrder.parse(["default", 1])  # type: ignore[arg-type] # that is the point
