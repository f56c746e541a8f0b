"""Stored samples as plain metering messages, one each, for others' queues on the exchange ``metering``."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from celery import Celery

from metering import ceilometer
from metering.environment import Environment
from metering.errors import BrokerAway
from metering.publish import AWAY
from metering.sifting import Genuine, repacked
from metering.topology import METERING

log = logging.getLogger(__name__)


def publish(app: Celery, genuine: Iterable[Genuine], settings: Environment) -> None:
    """Publish each message under ``metering.<meter>``. Raises `BrokerAway`.

    Nobody needs to be bound there, so a message that reaches no queue is no fault.
    """
    try:
        with app.producer_pool.acquire(block=True, timeout=30) as producer:
            for message in signed_as(settings.signature, genuine, settings.ceilometer_secrets):
                producer.publish(
                    message,
                    exchange=METERING,
                    routing_key=f"metering.{message['counter_name']}",
                    declare=[METERING],
                    serializer="json",
                    retry=True,
                    retry_policy={"max_retries": 3},
                )
    except AWAY as exc:
        raise BrokerAway(f"the broker did not take a plain message: {exc}") from exc


def signed_as(form: str, genuine: Iterable[Genuine], ceilometer_secrets: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The messages as their publishers signed them, or signed anew in the original's form.

    Metadata with half a surrogate pair has no such form: its message is left out, with a word about it.
    """
    for item in genuine:
        message = repacked(item)
        if form == "ceilometer":
            try:
                message["message_signature"] = ceilometer.signature(message, ceilometer_secrets[0])
            except UnicodeEncodeError as exc:
                log.warning("%s has no form that Ceilometer could sign, and is not published: %s", item.message_id, exc)
                continue
        yield message
