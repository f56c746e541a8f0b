"""Signed messages, sent again as they are: to storage workers, or to whoever reads an exchange of his own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

from celery import Celery
from kombu import Connection

from metering import packing
from metering.errors import BrokerAway
from metering.messages import MOST_SAMPLES
from metering.publish import AWAY, CONFIRM_SECONDS, RECORD_SAMPLES
from metering.signing import Signer
from metering.topology import METERING, SAMPLES, is_redis


class Target(Protocol):
    """Where messages go."""

    def send(self, texts: Sequence[str]) -> None:
        """Returns when the broker has confirmed all of them. Raises `BrokerAway` when it may not have some."""


class ToStore:
    """The exchange ``samples-in``: as batches of whole messages, each judged by its own signature."""

    def __init__(self, app: Celery, connection: Connection, signer: Signer, source: str) -> None:
        self._app, self._connection, self._signer, self._source = app, connection, signer, source
        self._declare = [SAMPLES] if is_redis(connection.as_uri()) else []

    def send(self, texts: Sequence[str]) -> None:
        try:
            for batch in packing.pack_whole(list(texts), signer=self._signer, source=self._source):
                self._app.send_task(
                    RECORD_SAMPLES,
                    (batch,),
                    connection=self._connection,
                    declare=self._declare,
                    timeout=CONFIRM_SECONDS,
                    confirm_timeout=CONFIRM_SECONDS,
                    argsrepr="(a batch)",
                )
        except AWAY as exc:
            raise BrokerAway(f"the broker did not take a batch: {exc}") from exc


class ToExchange:
    """An exchange that is there already: each message alone, as JSON, under ``metering.<meter>``."""

    def __init__(self, connection: Connection, exchange: str) -> None:
        self._connection, self._exchange = connection, exchange
        self._declare: list[Any] = [METERING] if exchange == METERING.name else []

    def send(self, texts: Sequence[str]) -> None:
        try:
            producer = self._connection.Producer(auto_declare=False)
            for text in texts:
                producer.publish(
                    text,
                    exchange=self._exchange,
                    routing_key=f"metering.{json.loads(text)['counter_name']}",
                    declare=self._declare,
                    content_type="application/json",
                    content_encoding="utf-8",
                    timeout=CONFIRM_SECONDS,
                    confirm_timeout=CONFIRM_SECONDS,
                )
            producer.close()
        except AWAY as exc:
            raise BrokerAway(f"the exchange {self._exchange!r} did not take a message: {exc}") from exc


class ToNobody:
    """Nothing is sent: a dry run."""

    def send(self, texts: Sequence[str]) -> None:
        """Returns at once."""


class Replay:
    """Messages on their way; knows how many are confirmed, and the place of the last of those."""

    def __init__(self, target: Target, rate: int | None) -> None:
        self._target, self._rate = target, rate
        self.sent = 0
        self.place = ""

    def send_all(self, messages: Iterable[tuple[str, str]]) -> Iterator[int]:
        """Send every (place, text); after each group how many went so far. Raises `BrokerAway`.

        ``rate`` is how many go in a second at most.
        """
        begun, coming = time.monotonic(), iter(messages)
        size = min(MOST_SAMPLES, self._rate or MOST_SAMPLES)
        while group := list(islice(coming, size)):
            self._target.send([text for _, text in group])
            self.sent += len(group)
            self.place = group[-1][0]
            yield self.sent
            if self._rate:
                time.sleep(max(0.0, begun + self.sent / self._rate - time.monotonic()))
