"""Whether the chain of digests is whole, and every stored day what its digests say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import date

from django.db import connection

from metering.errors import BadSignature
from metering.models import Digest
from metering.signing import Keyring
from metering.store.digests import PUBLISHER, content, head, live, text
from metering.store.partitions import bounds

_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
_PAGE = 1_000  # rows
_NOTHING = bytes(32)


def head_text() -> str:
    """The chain's end as it is handed out: ``number:digest``; ``0:`` and zeros before the first row."""
    last = head()
    return f"{last.number}:{bytes(last.digest).hex()}" if last else f"0:{_NOTHING.hex()}"


def fault_of_head(known: str) -> str | None:
    """Why the chain does not contain an end that was handed out earlier; None when it does.

    Raises ValueError for a text that is no such end.
    """
    found = _HEAD.fullmatch(known.strip())
    if found is None:
        raise ValueError(f"{known!r} is not of the form number:digest, with 64 hex digits")
    number, digits = int(found[1]), found[2]
    row = Digest.objects.filter(number=number).first()
    if number and row is None:
        return f"the known head is row {number}, and the chain has none of this number"
    if digits != (bytes(row.digest) if row else _NOTHING).hex():
        return f"row {number} of the chain is not the one that was handed out"
    return None


def faults_of_chain(keyring: Keyring) -> Iterator[str]:
    """What is wrong with the rows themselves: order, links, hashes, signatures, and what they say of each day."""
    number, previous = 0, _NOTHING
    last_of: dict[date, Digest] = {}
    for row in _rows():
        if row.number != number + 1:
            yield f"row {row.number}: it follows row {number}, and one between them is gone"
        elif bytes(row.previous) != previous:
            yield f"row {row.number}: it is not linked to the row before it"
        if fault := _fault_of_row(row, keyring):
            yield f"row {row.number}: {fault}"
        if fault := _fault_of_span(row, last_of.get(row.day)):
            yield f"row {row.number}: {fault}"
        number, previous, last_of[row.day] = row.number, bytes(row.digest), row


def _rows() -> Iterator[Digest]:
    last = 0
    while page := list(Digest.objects.filter(number__gt=last).order_by("number")[:_PAGE]):
        yield from page
        last = page[-1].number


def _fault_of_row(row: Digest, keyring: Keyring) -> str | None:
    signed = text(row).encode()
    if hashlib.sha256(signed).digest() != bytes(row.digest):
        return "it was changed"
    try:
        keyring.check(PUBLISHER, row.signature, signed)
    except BadSignature as exc:
        return str(exc)
    return None


def _fault_of_span(row: Digest, last: Digest | None) -> str | None:
    """Whether it begins where the day's last generation ends; a dropped row ends there itself."""
    if row.generation != (last.generation + 1 if last else 1):
        return f"generation {row.generation} of {row.day} follows generation {last.generation if last else 0}"
    if row.kind == Digest.Kind.DROPPED:
        return (
            None if last and row.until == last.until else f"{row.day} was dropped with more than its generations hold"
        )
    return (
        None if row.after == (last.until if last else None) else f"a time of {row.day} is covered twice, or not at all"
    )


def sealed_days() -> list[date]:
    """Every day of the chain, in order."""
    return list(Digest.objects.order_by("day").values_list("day", flat=True).distinct())


def faults_of_day(day: date) -> list[str]:
    """What of the day's stored samples is not what its digests say. Reads each sample that they cover."""
    rows = list(Digest.objects.filter(day=day).order_by("generation"))
    faults = [fault for row in live(rows) if (fault := _fault_of_generation(row))]
    if rows and rows[-1].kind == Digest.Kind.DROPPED and (found := content(day, None, rows[-1].until).samples):
        faults.append(f"{day}: it was dropped, and {found} samples of it are there")
    if faults and Digest.objects.filter(day=day).count() != len(rows):
        return faults_of_day(day)  # it was dropped, or got a generation, while we looked
    return faults


def _fault_of_generation(row: Digest) -> str | None:
    found = content(row.day, row.after, row.until)
    if found.samples != row.samples:
        return f"{row}: it had {row.samples} samples, and {found.samples} are there"
    if found.hash != bytes(row.hash):
        return f"{row}: samples were changed"
    return None


def unsealed(days: Iterable[date]) -> list[date]:
    """Those days that have samples and no digest yet."""
    known = set(sealed_days())
    return [day for day in days if day not in known and _has_samples(day)]


def _has_samples(day: date) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM sample WHERE ts >= %s AND ts < %s)", bounds(day))
        return bool(cursor.fetchone()[0])
