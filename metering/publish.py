"""Counter -> signed batch -> queue: the one door out of a plugin host."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass

import amqp.exceptions
import kombu.exceptions
from celery import Celery

from metering import messages, packing
from metering.counters import Counter
from metering.environment import Environment
from metering.errors import BadSetting, BrokerAway
from metering.signing import Keyring, Signer

RECORD_SAMPLES = "metering.record_samples"
CONFIRM_SECONDS = 30  # a broker in a memory or disk alarm blocks, and never confirms

# What publishing raises when the broker is unreachable, refuses, blocks, or nobody listens there (NO_ROUTE).
AWAY = (
    kombu.exceptions.OperationalError,
    kombu.exceptions.KombuError,
    amqp.exceptions.AMQPError,
    socket.timeout,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Signs what a host read as this host's, and hands it to the broker."""

    app: Celery
    signer: Signer
    source: str  # of the samples
    confirm_seconds: float = CONFIRM_SECONDS  # how long the broker may take

    def pack(
        self, counters: Iterable[Counter], poll: messages.Poll | None = None, node: str | None = None
    ) -> list[str]:
        """Signed batches; with a poll at least one, the poll's receipt. A bad counter is logged and counted."""
        return packing.pack(counters, signer=self.signer, source=self.source, poll=poll, node=node)

    def send(self, batch: str, task: str = RECORD_SAMPLES) -> None:
        """Returns when the broker has confirmed the batch. Raises `BrokerAway` when it may not have it."""
        try:
            self.app.send_task(
                task,
                (batch,),
                timeout=self.confirm_seconds,
                confirm_timeout=self.confirm_seconds,
                argsrepr="(a batch)",  # else Celery would write it out, and put the beginning into a header
            )
        except AWAY as exc:
            raise BrokerAway(f"the broker did not take a batch: {exc}") from exc

    def publish(self, counters: Iterable[Counter]) -> int:
        """Pack and send; how many samples went out. Raises `BrokerAway`: then some may have gone out, and may again."""
        batches = self.pack(counters)
        for batch in batches:
            self.send(batch)
        return sum(messages.read(batch).header.samples for batch in batches)


def publisher_of(app: Celery, settings: Environment) -> Publisher:
    """The publisher that this process is, by its own key or, for an operator's command, by the first master secret.

    Raises `BadSetting` when there is neither.
    """
    if settings.node_key is not None:
        signer = Signer(settings.publisher, settings.node_key.kid, settings.node_key.key)
    elif settings.secrets:
        signer = Keyring(settings.secrets).signer(settings.publisher)
    else:
        raise BadSetting(
            f"METERING_NODE_KEY (of {settings.publisher}) is not set, nor METERING_SECRETS: nothing can sign"
        )
    return Publisher(app, signer, settings.source)
