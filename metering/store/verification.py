"""Stored samples checked against their signatures, in bulk: each text that samples share is made once."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from metering.errors import BadSignature
from metering.models import Sample
from metering.signing import SCHEME, Keyring, Signer, metadata_digest, signed_head, signed_text
from metering.store import reading
from metering.store.raw_rows import Choice, Key, Part, Row, key_of, pages
from metering.store.referred import bodies, originals_of, referred, remember, told_times

MOST_NAMED = 1_000  # faults of which more is kept than their number; for each part
ORPHAN = "the series, the metadata or the signer that it refers to is gone"

_MOST_ASKED = 1_000  # keys in one query


class Fault(NamedTuple):
    """A sample that does not verify."""

    message_id: uuid.UUID
    series: str  # its meter and resource; empty where it is gone
    reason: str

    def __str__(self) -> str:
        return f"{self.message_id} {self.series}: {self.reason}" if self.series else f"{self.message_id}: {self.reason}"


@dataclass
class Result:
    """What became of the samples of a part, or of several."""

    samples: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    named: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        self.reasons[fault.reason] += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(fault)


class _Series(NamedTuple):
    """A series as it is signed: two of its texts are JSON already."""

    source: str
    meter: str
    owner: str


class Verifier:
    """Checks one part after the other, and remembers what many samples refer to.

    Most rows are of our own form and as they were signed. Any other is looked at singly, by `reading.fault`.
    """

    def __init__(self, keyring: Keyring, ceilometer_secrets: tuple[str, ...]) -> None:
        self._keyring, self._ceilometer_secrets = keyring, ceilometer_secrets
        self._series: dict[int, _Series] = {}
        self._metadata: dict[int, str] = {}  # the SHA-256 of its text
        self._signers: dict[int, Signer] = {}  # those of our own form whose secret we have
        self._times: dict[int, str] = {}

    def check(self, choice: Choice, part: Part) -> Result:
        """Every chosen sample of the part."""
        result = Result()
        for rows in pages(part, choice):
            self._load(rows)
            originals = originals_of(rows)
            doubtful = {key_of(row) for row in self._doubtful(rows)} | originals.keys()
            for fault in self._singly(sorted(doubtful), originals):
                result.add(fault)
            result.samples += len(rows)
        return result

    def _load(self, rows: Iterable[Row]) -> None:
        """What the page refers to, as texts."""
        series_ids, times, _, _, metadata_ids, signer_ids, _ = zip(*rows, strict=True)
        remember(self._series, set(series_ids), _find_series)
        remember(self._metadata, set(metadata_ids), _find_metadata)
        remember(self._signers, set(signer_ids), self._find_signers)
        remember(self._times, set(times), told_times)

    def _doubtful(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows whose signature is not what our own form makes of what is stored."""
        known: tuple[int, int] | None = None
        for row in rows:
            series_id, time, message_id, volume, metadata_id, signer_id, signature = row
            if known != (series_id, signer_id):
                known = series_id, signer_id
                series, signer = self._series.get(series_id), self._signers.get(signer_id)
                head = signed_head(signer.publisher, series.source) if series and signer else ""
            sha256 = self._metadata.get(metadata_id)
            if series is None or signer is None or sha256 is None:
                yield row
                continue
            digits = message_id.hex()
            id_ = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
            data = signed_text(head, series.meter, volume, series.owner, self._times[time], sha256, id_)
            if signer.digest(data) != signature.hex():
                yield row

    def _singly(self, keys: Sequence[Key], originals: dict[Key, str]) -> Iterator[Fault]:
        for place in range(0, len(keys), _MOST_ASKED):
            some = keys[place : place + _MOST_ASKED]
            asked = Sample.objects.filter(pk__in=some)
            found = {sample.pk: sample for sample in asked.select_related("series", "metadata", "signer")}
            for key, sample in found.items():
                reason = reading.fault(sample, originals.get(key), self._keyring, self._ceilometer_secrets)
                if reason is not None:
                    yield Fault(sample.message_id, str(sample.series), reason)
            if len(found) < len(some):  # a day may have expired meanwhile: those are not orphans
                for key in asked.values_list("pk", flat=True):
                    if key not in found:
                        yield Fault(key[2], "", ORPHAN)

    def _find_signers(self, ids: list[int]) -> Iterator[tuple[int, Signer]]:
        for id_, scheme, publisher, kid in referred("id, scheme, publisher, kid FROM signer", ids):
            if scheme == SCHEME:
                try:
                    yield id_, self._keyring.signer(publisher, kid)
                except BadSignature:
                    continue  # its secret is gone, and each of its samples will say so


def _find_series(ids: list[int]) -> Iterator[tuple[int, _Series]]:
    columns = "id, source, meter, type, unit, user_id, project_id, resource_id"
    for id_, source, *rest in referred(f"{columns} FROM series", ids):
        meter, owner = (orjson.dumps(texts).decode()[1:-1] for texts in (rest[:3], rest[3:]))
        yield id_, _Series(source, meter, owner)


def _find_metadata(ids: list[int]) -> Iterator[tuple[int, str]]:
    return ((id_, metadata_digest(body)) for id_, body in bodies(ids))
