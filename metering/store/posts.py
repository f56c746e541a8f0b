"""The moment of a post, kept for when it is repeated."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

REMEMBERED = timedelta(days=7)

_FIRST = """
INSERT INTO post_key AS known (digest, moment) VALUES (%s, %s)
ON CONFLICT (digest) DO UPDATE SET moment = known.moment
RETURNING moment
"""


def first_moment(digest: bytes, now: datetime) -> datetime:
    """When a post of this digest first came: now, or at most `REMEMBERED` ago. Older ones are forgotten."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM post_key WHERE moment < %s", [now - REMEMBERED])
        cursor.execute(_FIRST, [digest, now])
        moment: datetime = cursor.fetchone()[0]
        return moment
