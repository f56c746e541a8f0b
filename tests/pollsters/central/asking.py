"""What the tests of central pollsters share: the lab's cloud, asked as a worker asks it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from metering.counters import Counter
from pollsters import runner
from pollsters.central.cloud import OpenStack
from pollsters.runner import Place

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
VALUES: Mapping[str, str] = {
    "METERING_CLOUDS": "lab",
    "METERING_CLOUD_TIMEOUT": "10",
    "METERING_RADOSGW_SERVICE": "object-store",
    "METERING_RADOSGW_ACCESS_KEY": "the-access-key",
    "METERING_RADOSGW_SECRET_KEY": "the-secret-key",
    "METERING_RADOSGW_TENANTS": "0",
}


def everything(meter: str) -> bool:
    return True


def poll(clouds: OpenStack, *pollsters: Any, wants: runner.Wants = everything, seconds: float = 60) -> runner.Poll:
    """One poll of everything, by the real runner; each pollster under its class's name."""
    made = {pollster.__name__: pollster(VALUES, clouds) for pollster in pollsters}

    def origin(place: Place) -> str:
        return runner.origin_text("default", 1, *place.parts)

    return runner.poll_central(made, wants, lambda place: True, origin, NOW, seconds)


def read(clouds: OpenStack, *pollsters: Any) -> list[Counter]:
    """The counters of a poll in which nothing went wrong."""
    done = poll(clouds, *pollsters)
    assert done.errors == {}
    return done.counters


def rows(counters: list[Counter]) -> list[tuple[str, str, float, str]]:
    return [(counter.name, counter.unit, counter.volume, counter.resource_id) for counter in counters]


def seconds_since(start: float) -> float:
    return time.monotonic() - start
