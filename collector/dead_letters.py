"""What could not be used, kept: published to our broker's dead letters, from where it reaches quarantine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from celery import Celery

from collector.hearing import Failure
from collector.notification import without_secrets
from metering.errors import BrokerAway
from metering.publish import AWAY, CONFIRM_SECONDS
from metering.topology import DEAD, DLX, is_redis

ROUTING_KEY = "notification"
LONGEST_HEADER = 1_000  # characters
LARGEST_KEPT = 8 << 20  # bytes; brokers have a limit (16 MiB in RabbitMQ 4), and what they refuse would wait for ever


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A notification as it came, and why it could not be used."""

    body: bytes | str
    content_type: str
    broker: str  # the services' broker, without its password
    exchange: str
    event_type: str | None
    failures: tuple[Failure, ...]

    @property
    def headers(self) -> dict[str, str]:
        """What an operator will see of it."""
        return {
            "reason": _line([*(failure.reason for failure in self.failures), *self._cut]),
            "exchange": self.exchange,
            "event_type": self.event_type or "",
            "broker": self.broker,
            "traceback": _line(failure.error for failure in self.failures),
        }

    @property
    def _cut(self) -> list[str]:
        return [f"cut off after {LARGEST_KEPT} of {len(self.body)}"] if len(self.body) > LARGEST_KEPT else []


def keep(app: Celery, letter: DeadLetter) -> None:
    """Publish a dead letter. Returns when our broker has confirmed it; raises `BrokerAway` when it may not have it.

    Nobody reads what nobody declared, so it is mandatory that a queue takes it. Redis knows nothing of that:
    there the queue is declared with it.
    """
    try:
        with app.producer_pool.acquire(block=True, timeout=CONFIRM_SECONDS) as producer:
            producer.publish(
                without_secrets(letter.body[:LARGEST_KEPT]),
                exchange=DLX,
                routing_key=ROUTING_KEY,
                declare=[DEAD] if is_redis(app.conf.broker_url) else [],
                content_type=letter.content_type,
                content_encoding="binary" if isinstance(letter.body, bytes) else "utf-8",
                headers=letter.headers,
                delivery_mode=2,  # kept on disk
                mandatory=True,
                timeout=CONFIRM_SECONDS,
                confirm_timeout=CONFIRM_SECONDS,
            )
    except AWAY as exc:
        raise BrokerAway(f"the broker did not take a dead letter: {exc}") from exc


def _line(parts: Iterable[str]) -> str:
    # What a listener raised may quote half a surrogate pair, which AMQP cannot carry.
    return "; ".join(parts)[:LONGEST_HEADER].encode("utf-8", "replace").decode()
