"""Stored samples as the texts of the metering messages that were signed, in bulk.

Each is what `reading.message` gives as JSON, byte for byte; what many samples share is written once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from metering.signing import SCHEME
from metering.store.raw_rows import Row, key_of
from metering.store.referred import bodies, originals_of, referred, remember, told_times


class _Series(NamedTuple):
    """The two parts of a message that its series tells, as JSON: before the volume, and between that and the time."""

    before: str
    after: str


class Texts:
    """Writes page after page, and remembers what their rows refer to."""

    def __init__(self) -> None:
        self._series: dict[int, _Series] = {}
        self._metadata: dict[int, str] = {}
        self._signers: dict[int, str] = {}  # the end of a message, as JSON, but for the signature's digits
        self._times: dict[int, str] = {}

    def of(self, rows: Sequence[Row]) -> Iterator[str]:
        """The rows' messages in their order, without those of our own form whose series, metadata or signer is gone."""
        self._load(rows)
        originals = originals_of(rows)
        for row in rows:
            if originals and (original := originals.get(key_of(row))) is not None:
                yield original
            elif (text := self._text(row)) is not None:
                yield text

    def _load(self, rows: Iterable[Row]) -> None:
        series_ids, times, _, _, metadata_ids, signer_ids, _ = zip(*rows, strict=True)
        remember(self._series, set(series_ids), _find_series)
        remember(self._metadata, set(metadata_ids), bodies)
        remember(self._signers, set(signer_ids), _find_signers)
        remember(self._times, set(times), told_times)

    def _text(self, row: Row) -> str | None:
        series_id, time, message_id, volume, metadata_id, signer_id, signature = row
        series, body = self._series.get(series_id), self._metadata.get(metadata_id)
        signer = self._signers.get(signer_id)
        if series is None or body is None or signer is None:
            return None
        return (
            f'{series.before}{volume!r}{series.after}"{self._times[time]}","resource_metadata":{body},'
            f'"message_id":"{uuid.UUID(bytes=message_id)}",{signer}{signature.hex()}"}}'
        )


def _find_series(ids: list[int]) -> Iterator[tuple[int, _Series]]:
    columns = "id, source, meter, type, unit, user_id, project_id, resource_id"
    for id_, *values in referred(f"{columns} FROM series", ids):
        source, meter, type_, unit, user_id, project_id, resource_id = map(json.dumps, values)
        before = f'"source":{source},"counter_name":{meter},"counter_type":{type_},"counter_unit":{unit}'
        owner = f'"user_id":{user_id},"project_id":{project_id},"resource_id":{resource_id}'
        yield id_, _Series(f'{{{before},"counter_volume":', f',{owner},"timestamp":')


def _find_signers(ids: list[int]) -> Iterator[tuple[int, str]]:
    for id_, scheme, publisher, kid in referred("id, scheme, publisher, kid FROM signer", ids):
        head = json.dumps(f"{SCHEME}:{kid}:")[1:-1] if scheme == SCHEME else ""
        yield id_, f'"publisher_id":{json.dumps(publisher)},"message_signature":"{head}'
