"""Which polls are expected. The unique key makes each expected once, whoever asks and however often."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

_EXPECT = """
INSERT INTO poll_slot (source, slot, node, shard, due, deadline, note, parts_received, received, samples, errors)
SELECT %(source)s, moment.slot, polled.node, shard, moment.due, moment.deadline, %(note)s, '{}', 0, 0, '{}'
FROM unnest(%(slots)s::bigint[], %(dues)s::timestamptz[], %(deadlines)s::timestamptz[]) AS moment (slot, due, deadline)
CROSS JOIN unnest(%(nodes)s::text[], %(shards)s::int[], %(known)s::timestamptz[]) AS polled (node, shards, known_since)
CROSS JOIN LATERAL generate_series(0, polled.shards - 1) AS shard
WHERE polled.known_since <= %(now)s AND (%(note)s = '' OR polled.known_since <= moment.due)
ORDER BY moment.slot, polled.node, shard
ON CONFLICT DO NOTHING
RETURNING node, shard
"""


class Moment(NamedTuple):
    """When a slot is due, and until when a poll of it may begin."""

    slot: int
    due: datetime
    deadline: datetime


class Polled(NamedTuple):
    """A node that polls, how many shards it has, and since when it is known."""

    node: str
    shards: int
    known_since: datetime


def expect(
    source: str, moments: Sequence[Moment], polled: Sequence[Polled], note: str, now: datetime
) -> list[tuple[str, int]]:
    """Expect these slots of these nodes; the (node, shard) that were not expected yet, which are the caller's to order.

    ``note`` says why no order goes out; a slot that nobody dispatched is not expected of a node unknown then.
    """
    if not moments or not polled:
        return []
    slots, dues, deadlines = (list(column) for column in zip(*moments, strict=True))
    nodes, shards, known = (list(column) for column in zip(*polled, strict=True))
    told: dict[str, Any] = {
        "source": source, "note": note, "now": now, "slots": slots, "dues": dues, "deadlines": deadlines,
        "nodes": nodes, "shards": shards, "known": known,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_EXPECT, told)
        return [(node, shard) for node, shard in cursor.fetchall()]
