"""Verification comes before belief: which messages of a batch are genuine, and why the others are not.

No database here: what it must know (keys, disabled publishers) is told. What is genuine is ready to be stored.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from metering import ceilometer, messages
from metering.bounds import check_series, check_text, check_volume, parse_timestamp, timestamp_text
from metering.errors import BadSignature, MalformedMessage, MeteringError, NotAllowed
from metering.identity import EPOCH, FOREIGN_IDS, id_prefix, prefix_of, series_digest
from metering.signing import (
    MOST_METADATA,
    SCHEME,
    Keyring,
    Signer,
    canonical,
    canonical_metadata,
    header_bytes,
    metadata_digest,
    sample_bytes,
    split,
)

LONGEST_REMEMBERED = 4_096  # characters of a metadata: thousands of the largest would fill a worker's memory

SeriesKey = tuple[str, str, str, str, str, str | None, str | None]  # source, meter, type, unit, resource, user, project
SignerKey = tuple[str, str, str]  # scheme, kid, publisher


class Series(NamedTuple):
    """A series whose fields were found to be in bounds, and its digest."""

    key: SeriesKey
    digest: bytes


class Genuine(NamedTuple):
    """A message that may be stored: every check that the writer makes has passed."""

    series: Series
    ts: datetime
    volume: float
    metadata: str  # its JSON text: what was signed
    message_id: str  # a UUID in its canonical form
    signer: SignerKey
    signature: bytes
    foreign_id: bool  # the id does not say where its row is
    original: str | None  # the message's text, when packing the row again would not give it back


class Refused(NamedTuple):
    """A message that may not be stored, as plain JSON, and why."""

    body: str
    reason: str
    publisher: str


@dataclass(frozen=True)
class Rules:
    """What a storage worker believes, by its settings and by what is installed with it."""

    keyring: Keyring
    ceilometer_secrets: tuple[str, ...] = ()
    oldest: timedelta | None = None  # how old a sample may be; None: any age since 1970
    ahead: timedelta = timedelta(minutes=10)
    not_from_compute: frozenset[str] = frozenset()  # meters that only central pollsters or listeners claim


@dataclass
class Sifted:
    """A batch, judged message by message."""

    genuine: list[Genuine] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    receipt: messages.Header | None = None  # the header, when its signature is good
    signer: Signer | None = None


def _refused_header(header: messages.Header, why: MeteringError) -> Refused:
    """All that is left of a batch without samples whose header is not believed, such as a node's announcement.

    Without what differs each time it is sent, so that a node with a wrong key is one row with a count.
    """
    told = {name: value for name, value in header.fields.items() if name not in ("signed_at", "signature")}
    return Refused(json.dumps(told, sort_keys=True), f"its header: {why}", header.publisher)


class _Metadata(NamedTuple):
    text: str
    digest: str


class Sifter:
    """Judges batches. It remembers the series and metadata it has found to be in bounds."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._series: dict[SeriesKey, Series] = {}
        self._metadata: dict[str, _Metadata] = {}

    def sift(self, batch: messages.Batch, now: datetime, disabled: frozenset[str] = frozenset()) -> Sifted:
        """Judge every message by its own signature; one bad message costs only itself."""
        sifted = Sifted()
        header = batch.header
        try:
            sifted.signer = self.rules.keyring.check(
                header.publisher, header.fields.get("signature"), header_bytes(header.fields)
            )
            if header.publisher not in disabled:
                sifted.receipt = header
        except MeteringError as exc:  # neither receipt nor announcement; its samples are judged on their own
            if not batch.rows and not batch.whole:
                sifted.refused.append(_refused_header(header, exc))
        self._sift_rows(batch, now, disabled, sifted)
        for text in batch.whole:
            try:
                sifted.genuine.append(self._whole(text, now, disabled))
            except MeteringError as exc:
                sifted.refused.append(Refused(text if isinstance(text, str) else json.dumps(text), str(exc), ""))
        return sifted

    def _sift_rows(self, batch: messages.Batch, now: datetime, disabled: frozenset[str], sifted: Sifted) -> None:
        judge = _RowJudge(self, batch, now, disabled)
        for row in batch.rows:
            try:
                sifted.genuine.append(judge.genuine(row))
            except MeteringError as exc:
                publisher = batch.header.publisher
                sifted.refused.append(Refused(judge.body(row), str(exc), publisher))

    def series(self, key: SeriesKey) -> Series:
        """The series of this key. Raises `MalformedMessage` where a field is out of bounds."""
        try:
            known = self._series.get(key)
        except TypeError:  # a list or an object has no hash; the checks below name the field
            known = None
        if known is None:
            source, name, type_, unit, resource_id, user_id, project_id = key
            check_text("source", source)
            check_series(name, type_, unit, user_id, project_id, resource_id)
            if len(self._series) > 200_000:
                self._series.clear()
            known = self._series[key] = Series(key, series_digest(*key))
        return known

    def metadata(self, text: str) -> _Metadata:
        """A metadata text of a batch, which must be canonical: a reader of the message signs what he parsed."""
        known = self._metadata.get(text)
        if known is None:
            if len(text) > MOST_METADATA:
                raise MalformedMessage(f"resource_metadata is longer than {MOST_METADATA} bytes")
            value = _loads(text, "resource_metadata")
            if not isinstance(value, dict):
                raise MalformedMessage("resource_metadata must be an object")
            if canonical_metadata(value) != text:
                raise MalformedMessage("resource_metadata is not in canonical form")
            known = _Metadata(text, metadata_digest(text))
            if len(text) <= LONGEST_REMEMBERED:
                if len(self._metadata) > 20_000:
                    self._metadata.clear()
                self._metadata[text] = known
        return known

    def check_time(self, moment: datetime, now: datetime) -> None:
        """Raises `MalformedMessage` for a time that no sample may have."""
        if moment < EPOCH:
            raise MalformedMessage(f"timestamp {moment.isoformat()} lies before 1970")
        if self.rules.oldest is not None and moment < now - self.rules.oldest:
            days = self.rules.oldest.days
            raise MalformedMessage(
                f"timestamp {moment.isoformat()} is older than {days} days (METERING_RETENTION_DAYS)"
            )
        if moment > now + self.rules.ahead:
            seconds = int(self.rules.ahead.total_seconds())
            raise MalformedMessage(
                f"timestamp {moment.isoformat()} lies more than {seconds} s ahead (METERING_AHEAD_SECONDS)"
            )

    def check_right(self, publisher: str, meter: str, disabled: frozenset[str]) -> None:
        """Raises `NotAllowed` for a publisher that is disabled, or whose role does not send this meter."""
        if publisher in disabled:
            raise NotAllowed(f"the publisher {publisher} is disabled")
        if publisher.startswith("compute/") and meter in self.rules.not_from_compute:
            raise NotAllowed(f"a compute host may not send {meter}")

    def _whole(self, text: object, now: datetime, disabled: frozenset[str]) -> Genuine:
        """A plain message, by its own signature. Raises a `MeteringError` with the reason."""
        if not isinstance(text, str):
            raise MalformedMessage("a whole message is one JSON text")
        message = _message(text)
        moment = parse_timestamp(message["timestamp"])
        volume = check_volume(message["counter_volume"])
        metadata = canonical_metadata(message.get("resource_metadata", {}))
        identity, is_uuid = identity_of(message["message_id"])
        series = self.series(key_of(message))
        signer, signature = self._signature(message, volume, metadata)
        self.check_time(moment, now)
        self.check_right(signer[2], series.key[1], disabled)
        foreign = not is_uuid or not _says_where(identity, series, moment)
        genuine = Genuine(series, moment, volume, metadata, identity, signer, signature, foreign, None)
        return genuine if canonical(repacked(genuine)) == canonical(message) else genuine._replace(original=text)

    def _signature(self, message: Mapping[str, Any], volume: float, metadata: str) -> tuple[SignerKey, bytes]:
        """Who signed a plain message, in ours or the original's form. Raises `BadSignature`."""
        given, publisher = message.get("message_signature"), message.get("publisher_id")
        if not isinstance(given, str) or not given.startswith(f"{SCHEME}:"):
            variant = ceilometer.check(message, self.rules.ceilometer_secrets)
            check_text("publisher_id", publisher, empty=True, null=True)
            return (f"{ceilometer.SCHEME}/{variant}", "", publisher or ""), bytes.fromhex(str(given))
        check_text("publisher_id", publisher)
        for field_name in _SIGNED_BY_US:  # whoever verifies it again reads each of them
            if field_name not in message:
                raise MalformedMessage(f"{field_name} is missing")
        source, name, type_, unit, resource_id, user_id, project_id = key_of(message)
        data = sample_bytes(
            str(publisher), source, name, type_, unit, volume, user_id, project_id, resource_id,
            message["timestamp"], metadata_digest(metadata), message["message_id"],
        )  # fmt: skip
        signer = self.rules.keyring.check(str(publisher), given, data)
        return (SCHEME, signer.kid, signer.publisher), bytes.fromhex(given.rpartition(":")[2])


class _RowJudge:
    """Judges the rows of one batch, which share publisher, key and, mostly, their time."""

    def __init__(self, sifter: Sifter, batch: messages.Batch, now: datetime, disabled: frozenset[str]) -> None:
        self._sifter, self._batch, self._now, self._disabled = sifter, batch, now, disabled
        self._times: dict[str, datetime] = {}
        self._publisher, self._source = batch.header.publisher, batch.header.source
        self._timely: set[datetime] = set()
        self._signer: Signer | None = None
        self._unknown = ""
        try:
            kid, _ = split(batch.header.fields.get("signature"))
            self._signer = sifter.rules.keyring.signer(self._publisher, kid)
            self._signer_key: SignerKey = (SCHEME, kid, self._publisher)
        except BadSignature as exc:
            self._unknown = f"the batch's header: {exc}"

    def genuine(self, row: Any) -> Genuine:
        """The row, checked and verified. Raises a `MeteringError` with the reason."""
        if self._signer is None:
            raise BadSignature(self._unknown)
        try:
            name, type_, unit, volume, user_id, project_id, resource_id, timestamp, place, identity, digits = row
            metadata = self._sifter.metadata(self._batch.metadata[place])
            series = self._sifter.series((self._source, name, type_, unit, resource_id, user_id, project_id))
            moment = self._times.get(timestamp) or self._time(timestamp)
        except (ValueError, TypeError, IndexError) as exc:
            raise MalformedMessage(f"the row is not of the batch's form: {exc}") from exc
        volume = check_volume(volume)
        _, is_uuid = identity_of(identity)
        if not is_uuid:
            raise MalformedMessage("message_id of a row must be a UUID")
        data = sample_bytes(
            self._publisher, self._source, name, type_, unit, volume, user_id, project_id, resource_id,
            timestamp, metadata.digest, identity,
        )  # fmt: skip
        if self._signer.digest(data) != digits:
            raise BadSignature(f"the signature does not fit what {self._publisher} is said to have sent")
        if moment not in self._timely:
            self._sifter.check_time(moment, self._now)
            self._timely.add(moment)
        self._sifter.check_right(self._publisher, name, self._disabled)
        foreign = not _says_where(identity, series, moment)
        return Genuine(
            series, moment, volume, metadata.text, identity, self._signer_key, bytes.fromhex(digits), foreign, None
        )

    def _time(self, timestamp: object) -> datetime:
        moment = parse_timestamp(timestamp)
        if timestamp_text(moment) != timestamp:
            raise MalformedMessage(f"timestamp {timestamp!r} of a row is not in canonical form")
        self._times[str(timestamp)] = moment
        return moment

    def body(self, row: Any) -> str:
        """A refused row as a plain message where it has that form, else the row itself: what quarantine keeps."""
        try:
            metadata = json.loads(self._batch.metadata[row[8]])
            return json.dumps(messages.plain(self._batch.header, row, metadata))
        except (ValueError, TypeError, IndexError, KeyError, RecursionError):
            return json.dumps({"header": dict(self._batch.header.fields), "row": row})


def repacked(genuine: Genuine) -> dict[str, Any]:
    """The plain message that a stored row gives back."""
    scheme, kid, publisher = genuine.signer
    source, name, type_, unit, resource_id, user_id, project_id = genuine.series.key
    row = [name, type_, unit, genuine.volume, user_id, project_id, resource_id, timestamp_text(genuine.ts), 0]
    digits = genuine.signature.hex()
    signature = f"{SCHEME}:{kid}:{digits}" if scheme == SCHEME else digits
    return messages.message(publisher, source, [*row, genuine.message_id], json.loads(genuine.metadata), signature)


def refusal(genuine: Genuine, reason: str) -> Refused:
    """A genuine message that the store does not take, for quarantine."""
    return Refused(genuine.original or json.dumps(repacked(genuine)), reason, genuine.signer[2])


def _loads(text: str, what: str) -> Any:
    """Plain JSON: no constants such as NaN, no numbers or nesting that could hurt. Raises `MalformedMessage`."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise MalformedMessage(f"{what} is not plain JSON: {str(exc)[:200]}") from exc


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


_SIGNED_BY_US = ("counter_unit", "user_id", "project_id", "resource_metadata")  # and those that every sample needs
_REQUIRED = ("source", "counter_name", "counter_type", "counter_volume", "resource_id", "timestamp", "message_id")


def _message(text: str) -> dict[str, Any]:
    """The object in a text, with every field that a sample needs. Raises `MalformedMessage`."""
    message = _loads(text, "the message")
    if not isinstance(message, dict):
        raise MalformedMessage("a metering message is an object")
    for name in _REQUIRED:
        if name not in message:
            raise MalformedMessage(f"{name} is missing")
    if not isinstance(message.get("resource_metadata", {}), dict):
        raise MalformedMessage("resource_metadata must be an object")
    return message


def key_of(message: Mapping[str, Any]) -> SeriesKey:
    """The series that a plain message belongs to, its fields not checked."""
    return (
        message["source"], message["counter_name"], message["counter_type"], message.get("counter_unit", ""),
        message["resource_id"], message.get("user_id"), message.get("project_id"),
    )  # fmt: skip


_is_uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch


def identity_of(text: object) -> tuple[str, bool]:
    """A message_id as the UUID it is stored under, and whether it was one (in its one canonical form)."""
    if isinstance(text, str) and _is_uuid(text):
        return text, True
    check_text("message_id", text)
    return str(uuid.uuid5(FOREIGN_IDS, str(text))), False


def _says_where(identity: str, series: Series, moment: datetime) -> bool:
    """Whether the id is one of ours: made of its sample's time and series, and so found without a look-up."""
    return prefix_of(int(identity.replace("-", ""), 16)) == id_prefix(series.digest, moment)
