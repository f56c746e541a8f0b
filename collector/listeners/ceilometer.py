"""Metering messages that Ceilometer's agents publish on their own bus: samples already, handed on as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from collector.notification import Notification
from metering.counters import Meter


class CeilometerListener:
    """What its polling agents read, what was posted to its API, and what its publishers send to collectors.

    The same sample may come by more than one of these ways: it has one message_id, and is one row. Each is
    judged by the agent's own signature where samples are stored (METERING_CEILOMETER_SECRETS).
    """

    meters: tuple[Meter, ...] = ()  # any
    exchange = "ceilometer"
    topics: tuple[str, ...] = ("notifications.sample", "metering.sample")
    event_types: tuple[str, ...] = ("telemetry.polling", "telemetry.api", "metering")

    def whole(self, notification: Notification) -> Iterator[str]:
        for message in _samples(notification.payload):
            yield json.dumps(message)  # as Python's JSON wrote it: each value comes back as it was signed


def _samples(payload: Any) -> list[Any]:
    """Whatever is in the list: one that is no metering message is refused by itself, where it is judged."""
    samples = payload.get("samples") if isinstance(payload, dict) else payload
    if not isinstance(samples, list):
        raise ValueError(f"its samples are not a list but a {type(samples).__name__}")
    return samples
