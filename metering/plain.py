"""Stored samples as plain metering messages, one each, for others' queues on the exchange ``metering``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from celery import Celery

from metering import ceilometer
from metering.environment import Environment
from metering.sifting import Genuine, repacked
from metering.topology import METERING


def publish(app: Celery, genuine: Iterable[Genuine], settings: Environment) -> None:
    """Publish each message under ``metering.<meter>``. Raises kombu's errors.

    Nobody needs to be bound there, so a message that reaches no queue is no fault.
    """
    with app.producer_pool.acquire(block=True, timeout=30) as producer:
        for item in genuine:
            producer.publish(
                signed_as(settings.signature, item, settings.ceilometer_secrets),
                exchange=METERING,
                routing_key=f"metering.{item.series.key[1]}",
                declare=[METERING],
                serializer="json",
                retry=True,
                retry_policy={"max_retries": 3},
            )


def signed_as(form: str, item: Genuine, ceilometer_secrets: tuple[str, ...]) -> dict[str, Any]:
    """The message as its publisher signed it, or signed anew in the original's form."""
    message = repacked(item)
    if form == "ceilometer":
        message["message_signature"] = ceilometer.signature(message, ceilometer_secrets[0])
    return message
