"""What could not be used, kept with its reason: in the database, or in a local file while that is away."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.db import DatabaseError, InterfaceError, connection, transaction

from metering.models import Quarantine
from metering.sifting import Refused

log = logging.getLogger(__name__)

_UPSERT = """
INSERT INTO quarantine AS kept
    (kind, digest, body, reason, publisher, details, first_seen, last_seen, count, state)
VALUES (%s, %s, %s, %s, %s, %s, now(), now(), 1, 'kept')
ON CONFLICT (digest) DO UPDATE SET
    last_seen = now(), count = kept.count + 1, reason = excluded.reason, state = 'kept',
    details = kept.details || excluded.details
"""
MOST_REASON = 2_000  # characters


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing to keep: a batch, a message or a notification, as it came."""

    kind: str
    body: bytes
    reason: str
    publisher: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> bytes:
        """The same body of the same kind is one row."""
        return hashlib.sha256(self.kind.encode() + b"\0" + self.body).digest()


def keep_refused(cursor: Any, refused: Sequence[Refused]) -> None:
    """Keep the messages that a batch's verification refused, within the batch's transaction."""
    keep_all(
        cursor,
        [
            Kept(Quarantine.Kind.MESSAGE, item.body.encode("utf-8", "surrogatepass"), item.reason, item.publisher)
            for item in refused
        ],
    )


def keep_all(cursor: Any, things: Iterable[Kept]) -> None:
    """Keep them all, in their digests' order, so that two workers cannot deadlock."""
    for thing in sorted(things, key=lambda thing: thing.digest):
        cursor.execute(
            _UPSERT,
            [
                thing.kind,
                thing.digest,
                thing.body,
                _storable(thing.reason)[:MOST_REASON],
                _storable(thing.publisher),
                _storable(json.dumps(dict(thing.details))),
            ],
        )


def _storable(text: str) -> str:
    """A text that PostgreSQL takes: what is kept may hold anything, and its reason may quote it."""
    return text.replace("\0", "").replace("\\u0000", "").encode("utf-8", "backslashreplace").decode()


def keep(thing: Kept, folder: Path) -> None:
    """Keep one thing whatever happens: in the database, or in a file of ``folder`` while that is away."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            keep_all(cursor, [thing])
    except (DatabaseError, InterfaceError) as exc:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        saved = asdict(thing) | {"body": base64.b64encode(thing.body).decode(), "details": dict(thing.details)}
        (folder / f"{thing.digest.hex()}.json").write_text(json.dumps(saved))
        log.error(
            "a %s was refused (%s) and kept in %s: the database is away: %s", thing.kind, thing.reason, folder, exc
        )


def load_kept(folder: Path) -> int:
    """Bring what was kept in files into the database; how many those were."""
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    for file in files:
        saved = json.loads(file.read_text())
        thing = Kept(**saved | {"body": base64.b64decode(saved["body"])})
        with transaction.atomic(), connection.cursor() as cursor:
            keep_all(cursor, [thing])
        file.unlink()
    return len(files)
