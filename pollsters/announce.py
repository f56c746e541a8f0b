"""A plugin host makes itself known: dispatch sends orders to the nodes it has heard of.

In a thread of the worker's main process, which hears of every order before a child polls for it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from celery.signals import task_received, worker_ready

from metering import environment, messages, sources
from metering.celery import app
from metering.environment import CENTRAL, Environment
from metering.errors import BrokerAway
from metering.publish import Publisher, publisher_of
from pollsters.answering import spool_of

log = logging.getLogger(__name__)

QUIET_SECONDS = 60.0  # without an order: whoever keeps the list of nodes may have lost it
RETRY_SECONDS = 10.0  # while the broker is away


class Announcer:
    """Announces at once, and again whenever no order came for a while."""

    def __init__(
        self, announce: Callable[[], None], quiet: float = QUIET_SECONDS, retry: float = RETRY_SECONDS
    ) -> None:
        self._announce, self._quiet, self._retry = announce, quiet, retry
        self._order = threading.Event()

    def hear(self) -> None:
        """An order came."""
        self._order.set()

    def run(self) -> None:
        """Announce for as long as the process lives."""
        while True:
            wait = self._quiet
            try:
                self._announce()
            except BrokerAway as exc:
                log.warning("this node could not be announced, again in %.0f s: %s", self._retry, exc)
                wait = self._retry
            except Exception:  # a full disk, say: the thread must outlive it
                log.exception("this node could not be announced, again in %.0f s", self._quiet)
            while self._order.wait(wait):
                self._order.clear()
                wait = self._quiet


def announcement(publisher: Publisher, settings: Environment) -> str:
    """One signed batch of no samples and no slot."""
    source = sources.load(settings.sources_file, settings.poll_interval)[0].name
    poll = messages.Poll(source=source, slot=None, dropped=spool_of(settings).dropped)
    node = CENTRAL if settings.role == "central" else settings.node
    [batch] = publisher.pack([], poll, node)
    return batch


def _announce() -> None:
    settings = environment.load(os.environ)
    publisher = publisher_of(app, settings)
    publisher.send(announcement(publisher, settings))


_announcer = Announcer(_announce)


@worker_ready.connect
def _start(**_: Any) -> None:
    threading.Thread(target=_announcer.run, name="announcer", daemon=True).start()


@task_received.connect
def _hear(**_: Any) -> None:
    _announcer.hear()
