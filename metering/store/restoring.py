"""Days that this installation has dropped, loaded back from their archives.

Samples go in below ``raw_from``, where nobody looks yet, and the roll-ups stay as they were made of the same samples.
``raw_from`` moves back once every day from the first one on is whole again: so statistics are right at any moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path

from django.db import connection

from metering import messages, packing
from metering.messages import MOST_SAMPLES
from metering.models import LedgerDay, Sample
from metering.sifting import Rules, Sifter
from metering.signing import Keyring
from metering.store import archive, partitions, watermarks, writing


@dataclass
class Restored:
    """What came of it so far."""

    stored: int = 0
    known: int = 0
    refused: int = 0  # they are in quarantine, each with its reason
    days: set[date] = field(default_factory=set)

    @property
    def samples(self) -> int:
        return self.stored + self.known + self.refused


def load(files: Iterable[Path], keyring: Keyring, ceilometer_secrets: tuple[str, ...]) -> Iterator[Restored]:
    """Verify and store every message of these archives, whatever its age; yields after each part of them.

    Safe to stop anywhere, and to run again. Raises `ArchiveFailed`.
    """
    sifter = Sifter(Rules(keyring, ceilometer_secrets))
    signer, restored = keyring.signer("api/restore"), Restored()
    coming = (text for file in files for text in archive.texts(file))
    while some := list(islice(coming, MOST_SAMPLES)):
        for batch in packing.pack_whole(some, signer=signer, source="archive"):
            now = datetime.now(UTC)
            sifted = sifter.sift(messages.read(batch), now)
            sifted.receipt = None  # nobody sent it
            outcome = writing.record(sifted, now, restoring=True)
            restored.stored += outcome.stored
            restored.known += outcome.known
            restored.refused += outcome.refused
            restored.days |= {item.ts.date() for item in sifted.genuine}
        yield restored


def reopen(days: Iterable[date]) -> list[date]:
    """Let these days be read again; the dropped days that must be loaded back before, when there are some.

    A day counts as loaded when it has as many samples as were archived of it.
    """
    with connection.cursor() as cursor:
        raw_from = watermarks.marks(cursor).raw_from
    first = min(days, default=raw_from.date())
    dropped = LedgerDay.objects.filter(day__gte=first, day__lt=raw_from.date(), dropped_at__isnull=False)
    missing = [row.day for row in dropped if not _is_whole(row, set(days))]
    if not missing and first < raw_from.date():
        with watermarks.exclusive() as cursor:
            cursor.execute(
                "UPDATE rollup_state SET raw_from = %s WHERE raw_from > %s", [partitions.bounds(first)[0]] * 2
            )
        dropped.update(dropped_at=None, dropped_rows=None, dropped_bytes=None)
    return missing


def _is_whole(row: LedgerDay, loaded: set[date]) -> bool:
    if row.archive_rows is None:
        return row.day in loaded
    return Sample.objects.between(*partitions.bounds(row.day)).count() >= row.archive_rows
