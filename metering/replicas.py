"""Where the API reads: from a replica of the database that answers and is not behind, else from the primary."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connections, models

log = logging.getLogger(__name__)

PRIMARY = "default"
# What is only ever read by the API, and may be some seconds old. A token that was revoked may not.
LEDGER = frozenset({
    "foreignid", "resource", "resourcemetadata", "sample", "sampleday", "samplehour", "sampleoriginal", "samplerow",
    "series", "signer",
})  # fmt: skip
LOOK_AGAIN = 5.0  # seconds for which a replica is believed to be as it was found

# Null of a server that replays nothing. The primary commits every minute, so that an idle one is not behind.
_BEHIND = "SELECT EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp())"


@dataclass
class _Replica:
    """One replica, as this process last found it."""

    alias: str
    looked_at: float = -LOOK_AGAIN
    usable: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answers(self) -> bool:
        """Whether it can be asked now; it is looked at every few seconds, and each new connection is tried."""
        if time.monotonic() - self.looked_at < LOOK_AGAIN and not self.usable:
            return False
        try:
            connection = connections[self.alias]
            connection.close_if_health_check_failed()
            connection.ensure_connection()
            if time.monotonic() - self.looked_at >= LOOK_AGAIN:
                self._found(_fault(self.alias))
        except DatabaseError as exc:
            connections[self.alias].close()
            self._found(str(exc).strip() or "it does not answer")
        return self.usable

    def _found(self, fault: str | None) -> None:
        with self.lock:
            if fault and self.usable:
                log.warning("%s is not asked for now: %s", self.alias, fault)
            elif not fault and not self.usable:
                log.warning("%s is asked again", self.alias)
            self.usable, self.looked_at = not fault, time.monotonic()


def _fault(alias: str) -> str | None:
    with connections[alias].cursor() as cursor:
        cursor.execute(_BEHIND)
        [behind] = cursor.fetchone()
    if behind is not None and behind > settings.METERING.replica_lag_seconds:
        return f"it is {float(behind):.0f} s behind the primary"
    return None


class ReplicaRouter:
    """Django's question which database to use, answered for the API.

    A process stays with one replica as long as it answers, so that the statements of one request see one state;
    the processes choose at random. What is read in a transaction on the primary is read there.
    """

    def __init__(self) -> None:
        aliases = [alias for alias in settings.DATABASES if alias != PRIMARY]
        self._replicas = [_Replica(alias) for alias in random.sample(aliases, len(aliases))]

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str:
        if model._meta.app_label != "metering" or model._meta.model_name not in LEDGER:
            return PRIMARY
        if connections[PRIMARY].in_atomic_block:
            return PRIMARY
        return next((replica.alias for replica in self._replicas if replica.answers()), PRIMARY)

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str:
        return PRIMARY

    def allow_relation(self, one: models.Model, other: models.Model, **hints: Any) -> bool:
        return True  # they are the same rows

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == PRIMARY
