"""The rows of a batch, judged one by one: what is wrong with a row is found here, and costs only that row."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from metering import messages
from metering.bounds import check_volume, parse_timestamp, timestamp_text
from metering.errors import BadSignature, MalformedMessage
from metering.sifting.genuine import Genuine, Refused, SignerKey
from metering.sifting.judge import Judge, identity_of, says_where
from metering.signing import SCHEME, Signer, sample_bytes, split


class RowJudge:
    """Judges the rows of one batch, which share publisher, key and, mostly, their time."""

    def __init__(self, judge: Judge, batch: messages.Batch, now: datetime, disabled: frozenset[str]) -> None:
        self.judge, self.batch, self.now, self.disabled = judge, batch, now, disabled
        self.publisher, self.source = batch.header.publisher, batch.header.source
        self.signer: Signer | None = None
        self.signer_key: SignerKey = (SCHEME, "", self.publisher)
        self._times: dict[object, datetime] = {}
        self._timely: set[datetime] = set()
        self._unknown = ""
        try:
            kid, _ = split(batch.header.fields.get("signature"))
            self.signer = judge.rules.keyring.signer(self.publisher, kid)
            self.signer_key = (SCHEME, kid, self.publisher)
        except BadSignature as exc:
            self._unknown = f"the batch's header: {exc}"

    def genuine(self, row: Any) -> Genuine:
        """The row, checked and verified. Raises a `MeteringError` with the reason."""
        if self.signer is None:
            raise BadSignature(self._unknown)
        try:
            name, type_, unit, volume, user_id, project_id, resource_id, timestamp, place, identity, digits = row
            metadata = self.judge.metadata(self.batch.metadata[place])
            series = self.judge.series((self.source, name, type_, unit, resource_id, user_id, project_id))
            moment = self.time(timestamp)
        except (ValueError, TypeError, IndexError) as exc:
            raise MalformedMessage(f"the row is not of the batch's form: {exc}") from exc
        volume = check_volume(volume)
        _, is_uuid = identity_of(identity)
        if not is_uuid:
            raise MalformedMessage("message_id of a row must be a UUID")
        data = sample_bytes(
            self.publisher, self.source, name, type_, unit, volume, user_id, project_id, resource_id,
            timestamp, metadata.digest, identity,
        )  # fmt: skip
        if self.signer.digest(data) != digits:
            raise BadSignature(f"the signature does not fit what {self.publisher} is said to have sent")
        self.check_time(moment)
        self.judge.check_right(self.publisher, name, self.disabled)
        foreign = not says_where(identity, series, moment)
        return Genuine(
            series, moment, volume, metadata.text, identity, self.signer_key, bytes.fromhex(digits), foreign, None
        )

    def time(self, timestamp: object) -> datetime:
        """The moment that a row's text says. Raises `MalformedMessage`; `TypeError` for what is no text."""
        known = self._times.get(timestamp)
        if known is not None:
            return known
        moment = parse_timestamp(timestamp)
        if timestamp_text(moment) != timestamp:
            raise MalformedMessage(f"timestamp {timestamp!r} of a row is not in canonical form")
        self._times[timestamp] = moment
        return moment

    def check_time(self, moment: datetime) -> None:
        """Raises `MalformedMessage` for a time that no sample may have."""
        if moment not in self._timely:
            self.judge.check_time(moment, self.now)
            self._timely.add(moment)

    def refused(self, row: Any, reason: str) -> Refused:
        """A row as a plain message where it has that form, else the row itself: what quarantine keeps."""
        return Refused(self._body(row), reason, self.publisher)

    def _body(self, row: Any) -> str:
        try:
            metadata = json.loads(self.batch.metadata[row[8]])
            return json.dumps(messages.plain(self.batch.header, row, metadata))
        except (ValueError, TypeError, IndexError, KeyError, RecursionError):
            return json.dumps({"header": dict(self.batch.header.fields), "row": row})
