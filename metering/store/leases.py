"""Work that one process at a time does, whichever: a row with an expiry says who.

No lock of a session, which a connection pool would leak. A lease keeps others from doing the same work in vain; it
cannot stop a process that stalled until its lease expired, so what must not happen twice at once also takes a lock
of its transaction, or is safe to do twice.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import connection

from metering.errors import LeaseLost

# Every time is the database's: the clocks of the processes need not agree.
_TAKE = """
INSERT INTO lease AS held (name, holder, until) VALUES (%s, %s, clock_timestamp() + %s * interval '1 second')
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE held.until <= clock_timestamp()
"""
_RENEW = "UPDATE lease SET until = clock_timestamp() + %s * interval '1 second' WHERE name = %s AND holder = %s"
_RELEASE = "DELETE FROM lease WHERE name = %s AND holder = %s"


@dataclass(slots=True)
class Lease:
    """The right to do one kind of work for ``span`` after it was taken or last renewed."""

    name: str
    holder: str  # host, process, and a word of its own: two leases of one process are two
    span: timedelta
    renewed: float = field(default_factory=time.monotonic)

    def renew(self) -> None:
        """Keep it for another span: to be called between the steps of the work, outside their transactions.

        As often as you like: the row is written once in a quarter of the span. Raises `LeaseLost` when it expired and
        another has taken it; the work is that one's now.
        """
        now = time.monotonic()
        if now - self.renewed < self.span.total_seconds() / 4:
            return
        with connection.cursor() as cursor:
            cursor.execute(_RENEW, [self.span.total_seconds(), self.name, self.holder])
            if not cursor.rowcount:
                raise LeaseLost(f"the lease {self.name!r} expired, and another process has taken it")
        self.renewed = now

    def release(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_RELEASE, [self.name, self.holder])


@contextmanager
def held(name: str, span: timedelta) -> Iterator[Lease | None]:
    """The lease while the block runs, then given back; None where another has it.

    Of a process that is killed it expires ``span`` after its last renewal.
    """
    lease = Lease(name, f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}", span)
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [name, lease.holder, span.total_seconds()])
        taken = bool(cursor.rowcount)
    if not taken:
        yield None
        return
    try:
        yield lease
    finally:
        lease.release()
