"""What could not be used, kept with its reason: in the database, or in a local file while that is away."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from metering.models import Quarantine
from metering.sifting import Refused
from metering.spool import write_durably
from metering.store.printable import printable, printable_text

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
                # What is kept may hold anything, and its reason and details may quote it.
                printable_text(thing.reason)[:MOST_REASON],
                printable_text(thing.publisher),
                json.dumps(printable(dict(thing.details))),
            ],
        )


def keep(thing: Kept, folder: Path) -> None:
    """Keep one thing whatever happens: in the database, or in a file of ``folder`` while that is away."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            keep_all(cursor, [thing])
    except (DatabaseError, InterfaceError) as exc:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        saved = asdict(thing) | {"body": base64.b64encode(thing.body).decode(), "details": dict(thing.details)}
        write_durably(folder / f"{thing.digest.hex()}.json", json.dumps(saved))
        log.error(
            "a %s was refused (%s) and kept in %s: the database is away: %s", thing.kind, thing.reason, folder, exc
        )


def load_kept(folder: Path) -> int:
    """Bring what was kept in files into the database; how many those were.

    Any number of processes may do so at once. What the database does not take now stays for the next time;
    a file that is spoilt is set aside. Raises nothing of the database's.
    """
    loaded = 0
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            loaded += _load(file)
        except (OperationalError, InterfaceError) as exc:
            log.warning("what is kept in %s stays there: the database is away: %s", folder, exc)
            break
        except (ValueError, TypeError, KeyError, DatabaseError) as exc:
            log.error("%s cannot be loaded and is set aside: %s", file, exc)
            file.rename(file.with_suffix(".broken"))
    return loaded


def _load(file: Path) -> bool:
    """Whether this process has loaded the file, and not another one in the meantime."""
    with suppress(FileNotFoundError), file.open() as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        if not file.exists():
            return False
        saved = json.load(opened)
        thing = Kept(**saved | {"body": base64.b64decode(saved["body"])})
        with transaction.atomic(), connection.cursor() as cursor:
            keep_all(cursor, [thing])
        file.unlink()
        return True
    return False
