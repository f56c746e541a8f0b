"""What a batch's header tells: that its publisher lives, and which poll was received."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.db import connection

from metering.environment import CENTRAL
from metering.messages import Header
from metering.store import clocks

_NODE = """
INSERT INTO node AS known (
    publisher, role, name, enabled, first_seen, last_seen, last_poll, guests, errors, dropped, skew, skew_at
) VALUES (
    %(publisher)s, %(role)s, %(name)s, true, %(now)s, %(now)s, %(read_at)s, %(guests)s, %(errors)s, %(dropped)s,
    %(skew)s, %(skew_at)s
)
ON CONFLICT (publisher) DO UPDATE SET
    last_seen = GREATEST(known.last_seen, excluded.last_seen),
    last_poll = GREATEST(known.last_poll, excluded.last_poll),
    guests = CASE WHEN %(polled)s THEN excluded.guests ELSE known.guests END,
    errors = CASE WHEN %(polled)s THEN excluded.errors ELSE known.errors END,
    dropped = CASE WHEN %(polled)s THEN excluded.dropped ELSE known.dropped END,
    skew = COALESCE(excluded.skew, known.skew),
    skew_at = COALESCE(excluded.skew_at, known.skew_at)
"""

# A batch that comes twice is counted once: its part is among those received.
_POLL = """
INSERT INTO poll_slot AS poll (
    source, slot, node, shard, due, deadline, note,
    parts, parts_received, received, received_at, read_at, samples, guests, errors
) VALUES (
    %(source)s, %(slot)s, %(node)s, %(shard)s, %(read_at)s, %(read_at)s, 'not expected',
    %(parts)s, ARRAY[%(part)s]::smallint[], 1, %(now)s, %(read_at)s, %(samples)s, %(guests)s, %(errors)s
)
ON CONFLICT (source, slot, node, shard) DO UPDATE SET
    parts = excluded.parts,
    parts_received = poll.parts_received || excluded.parts_received,
    received = poll.received + 1,
    received_at = excluded.received_at,
    read_at = excluded.read_at,
    samples = poll.samples + excluded.samples,
    guests = excluded.guests,
    errors = excluded.errors
WHERE NOT poll.parts_received @> excluded.parts_received
RETURNING CASE WHEN note <> 'not expected' THEN due END
"""


def disabled() -> frozenset[str]:
    """The publishers that an operator has switched off. Asked for each batch, so in the least time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT publisher FROM node WHERE NOT enabled")
        return frozenset(publisher for (publisher,) in cursor.fetchall())


def seen(cursor: Any, publisher: str, now: datetime) -> None:
    """Note that a publisher lives which sent something genuine without a header, such as events."""
    role, _, name = publisher.partition("/")
    told = {"publisher": publisher, "role": role, "name": name, "now": now, "errors": "{}", "dropped": "{}"}
    nothing = dict.fromkeys(("read_at", "guests", "skew", "skew_at"))
    cursor.execute(_NODE, told | nothing | {"polled": False})


def record(cursor: Any, header: Header, now: datetime) -> None:
    """Count a genuine batch: its publisher is alive and, if it belongs to a poll, a part of that was received."""
    role, _, name = header.publisher.partition("/")
    told = {
        "publisher": header.publisher,
        "role": role,
        "name": name,
        "now": now,
        "read_at": header.read_at,
        "guests": header.guests,
        "errors": json.dumps(header.errors),
        "dropped": json.dumps(header.dropped),
        "polled": header.slot is not None,
    }
    due = _record_poll(cursor, header, told)
    skew = clocks.skew(now, header.signed_at, header.read_at, due)
    cursor.execute(_NODE, told | {"skew": skew, "skew_at": now if skew is not None else None})
    clocks.warn(header.publisher, skew)


def _record_poll(cursor: Any, header: Header, told: dict[str, Any]) -> datetime | None:
    """Count a part of a poll; when that poll was due, or None for what is no new part of an expected one."""
    # A compute host answers for its own polls only; the central workers share theirs; nobody else polls.
    node = {"compute": told["name"], "central": CENTRAL}.get(told["role"])
    if node is None or header.slot is None or header.polling_source is None or header.read_at is None:
        return None
    poll = {
        "source": header.polling_source,
        "slot": header.slot,
        "node": node,
        "shard": header.shard or 0,
        "parts": header.parts,
        "part": header.part,
        "samples": header.samples,
    }
    cursor.execute(_POLL, told | poll)
    row = cursor.fetchone()
    return row[0] if row else None
