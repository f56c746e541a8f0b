"""A poll order: what dispatch tells a node, or the central workers, to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metering.bounds import parse_timestamp
from metering.errors import MalformedMessage, MalformedOrder


@dataclass(frozen=True, slots=True)
class PollOrder:
    """Read what this polling source asks for, once, for this slot, before the deadline."""

    source: str  # the polling source's name
    slot: int  # how many intervals since the epoch
    due: datetime
    deadline: datetime  # later than this it is not worth reading: the next slot is near
    shard: int = 0  # this order's share of the work ...
    shards: int = 1  # ... of so many

    @property
    def key(self) -> tuple[str, int, int]:
        """What makes two orders the same poll on one node."""
        return self.source, self.slot, self.shard

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> PollOrder:
        """The order in a task's argument; times are ISO 8601 texts. Raises `MalformedOrder`."""
        if not isinstance(fields, Mapping):
            raise MalformedOrder(f"a poll order is an object, not {type(fields).__name__}")
        source = fields.get("source")
        if not isinstance(source, str) or not 0 < len(source) <= 200:
            raise MalformedOrder(f"source must be a text of up to 200 characters, not {str(source)[:200]!r}")
        order = cls(
            source,
            _whole(fields, "slot", 0, 1 << 53),
            _moment(fields, "due"),
            _moment(fields, "deadline"),
            _whole(fields, "shard", 0, 100_000),
            _whole(fields, "shards", 1, 100_000),
        )
        if order.shard >= order.shards:
            raise MalformedOrder(f"shard {order.shard} is not one of {order.shards}")
        return order


def _whole(fields: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise MalformedOrder(f"{name} must be a whole number from {least} to {most}, not {str(value)[:40]!r}")
    return value


def _moment(fields: Mapping[str, Any], name: str) -> datetime:
    try:
        return parse_timestamp(fields.get(name))
    except MalformedMessage as exc:
        raise MalformedOrder(f"{name}: {exc}") from exc
