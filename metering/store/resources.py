"""What is true now of each resource, kept up to date by every batch."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from metering.sifting import Genuine
from metering.store import keys

# A resource moves when another compute host reports it; what a listener or the API says of it in between is no move.
_UPSERT = """
INSERT INTO resource AS now (
    resource_id, source, user_id, project_id, metadata_id, first_sample, last_sample, publisher, moves
)
SELECT *, 0 FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::text[]
)
ON CONFLICT (resource_id, source) DO UPDATE SET
    first_sample = LEAST(now.first_sample, excluded.first_sample),
    last_sample = GREATEST(now.last_sample, excluded.last_sample),
    user_id = CASE WHEN excluded.last_sample >= now.last_sample THEN excluded.user_id ELSE now.user_id END,
    project_id = CASE WHEN excluded.last_sample >= now.last_sample THEN excluded.project_id ELSE now.project_id END,
    metadata_id = CASE WHEN excluded.last_sample >= now.last_sample THEN excluded.metadata_id ELSE now.metadata_id END,
    publisher = CASE
        WHEN excluded.last_sample >= now.last_sample
            AND (excluded.publisher LIKE 'compute/%%' OR now.publisher NOT LIKE 'compute/%%')
        THEN excluded.publisher ELSE now.publisher END,
    moves = now.moves + CASE
        WHEN excluded.last_sample > now.last_sample AND excluded.publisher <> now.publisher
            AND excluded.publisher LIKE 'compute/%%' AND now.publisher LIKE 'compute/%%'
        THEN 1 ELSE 0 END
WHERE excluded.last_sample >= now.last_sample OR excluded.first_sample < now.first_sample
"""


def update(cursor: Any, genuine: Iterable[Genuine], ids: keys.Ids) -> None:
    """Move each resource of these samples to its latest owner, metadata and times. In key order: no deadlock."""
    latest: dict[tuple[str, str], Genuine] = {}
    first: dict[tuple[str, str], datetime] = {}
    for item in genuine:
        source, resource_id = item.series.key[0], item.series.key[4]
        key = resource_id, source
        if key not in latest or item.ts >= latest[key].ts:
            latest[key] = item
        first[key] = min(first.get(key, item.ts), item.ts)
    rows = []
    for key in sorted(latest):
        item = latest[key]
        user_id, project_id = item.series.key[5:7]
        rows.append((*key, user_id, project_id, ids.metadata[item.metadata], first[key], item.ts, item.signer[2]))
    if rows:
        cursor.execute(_UPSERT, [list(column) for column in zip(*rows, strict=True)])
