"""What a batch's header tells: that its publisher lives, and which poll was received."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from metering.environment import CENTRAL
from metering.messages import Header

_NODE = """
INSERT INTO node AS known (publisher, role, name, enabled, first_seen, last_seen, last_poll, guests, errors, dropped)
VALUES (%(publisher)s, %(role)s, %(name)s, true, %(now)s, %(now)s, %(read_at)s, %(guests)s, %(errors)s, %(dropped)s)
ON CONFLICT (publisher) DO UPDATE SET
    last_seen = GREATEST(known.last_seen, excluded.last_seen),
    last_poll = GREATEST(known.last_poll, excluded.last_poll),
    guests = CASE WHEN %(polled)s THEN excluded.guests ELSE known.guests END,
    errors = CASE WHEN %(polled)s THEN excluded.errors ELSE known.errors END,
    dropped = CASE WHEN %(polled)s THEN excluded.dropped ELSE known.dropped END
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
"""


def record(cursor: Any, header: Header, now: datetime) -> None:
    """Count a genuine batch: its publisher is alive and, if it belongs to a poll, a part of that was received."""
    role, _, name = header.publisher.partition("/")
    errors, dropped = json.dumps(header.errors), json.dumps(header.dropped)
    told = {
        "publisher": header.publisher,
        "role": role,
        "name": name,
        "now": now,
        "read_at": header.read_at,
        "guests": header.guests,
        "errors": errors,
        "dropped": dropped,
        "polled": header.slot is not None,
    }
    cursor.execute(_NODE, told)
    # A compute host answers for its own polls only; the central workers share theirs; nobody else polls.
    node = {"compute": name, "central": CENTRAL}.get(role)
    if node is None or header.slot is None or header.polling_source is None or header.read_at is None:
        return
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
