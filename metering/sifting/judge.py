"""What rows and whole messages are judged by alike: the settings, and what was found to be in bounds before."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

import orjson

from metering.bounds import check_series, check_text
from metering.environment import Environment
from metering.errors import MalformedMessage, NotAllowed
from metering.identity import EPOCH, FOREIGN_IDS, id_prefix, prefix_of, series_digest
from metering.memory import Memory
from metering.sifting.genuine import Series, SeriesKey
from metering.signing import MOST_METADATA, Keyring, canonical_metadata, metadata_digest

# Bytes of a generation: a million series of usual length, measured with 540 bytes each and `store.keys` included.
SERIES_REMEMBERED = 600_000_000
METADATA_REMEMBERED = 64_000_000
LONGEST_REMEMBERED = 4_096  # characters of a metadata: longer ones are rare, and read anew each time

_is_uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch


@dataclass(frozen=True)
class Rules:
    """What a storage worker believes, by its settings and by what is installed with it."""

    keyring: Keyring
    ceilometer_secrets: tuple[str, ...] = ()
    oldest: timedelta | None = None  # how old a sample may be; None: any age since 1970
    ahead: timedelta = timedelta(minutes=10)
    not_from_compute: frozenset[str] = frozenset()  # meters that only central pollsters or listeners claim

    @classmethod
    def of(cls, told: Environment, not_from_compute: frozenset[str] = frozenset()) -> Rules:
        """What the settings say."""
        return cls(
            keyring=Keyring(told.secrets),
            ceilometer_secrets=told.ceilometer_secrets,
            oldest=timedelta(days=told.retention_days or told.oldest_days),
            ahead=timedelta(seconds=told.ahead_seconds),
            not_from_compute=not_from_compute,
        )


class Metadata(NamedTuple):
    """A metadata found to be canonical and in bounds."""

    text: str
    digest: str


class Judge:
    """Remembers the series and metadata that it has found to be in bounds."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.known_series: Memory[SeriesKey, Series] = Memory(SERIES_REMEMBERED, _bytes)
        self.known_metadata: Memory[str, Metadata] = Memory(METADATA_REMEMBERED, len)

    def series(self, key: SeriesKey) -> Series:
        """The series of this key. Raises `MalformedMessage` where a field is out of bounds."""
        try:
            known = self.known_series.get(key)
        except TypeError:  # a list or an object has no hash; the checks below name the field
            known = None
        if known is None:
            source, name, type_, unit, resource_id, user_id, project_id = key
            check_text("source", source)
            check_series(name, type_, unit, user_id, project_id, resource_id)
            known = _series(key)
            self.known_series.put(known.key, known)
        return known

    def metadata(self, text: str) -> Metadata:
        """A metadata text of a batch, which must be canonical: a reader of the message signs what he parsed."""
        known = self.known_metadata.get(text)
        if known is None:
            if len(text) > MOST_METADATA:
                raise MalformedMessage(f"resource_metadata is longer than {MOST_METADATA} bytes")
            value = plain_json(text, "resource_metadata")
            if not isinstance(value, dict):
                raise MalformedMessage("resource_metadata must be an object")
            if canonical_metadata(value) != text:
                raise MalformedMessage("resource_metadata is not in canonical form")
            known = Metadata(text, metadata_digest(text))
            if len(text) <= LONGEST_REMEMBERED:
                self.known_metadata.put(text, known)
        return known

    def check_time(self, moment: datetime, now: datetime) -> None:
        """Raises `MalformedMessage` for a time that no sample may have."""
        if moment < EPOCH:
            raise MalformedMessage(f"timestamp {moment.isoformat()} lies before 1970")
        if self.rules.oldest is not None and moment < now - self.rules.oldest:
            days = self.rules.oldest.days
            raise MalformedMessage(
                f"timestamp {moment.isoformat()} is older than {days} days "
                "(METERING_RETENTION_DAYS; where that is 0, METERING_OLDEST_DAYS)"
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


def _bytes(key: SeriesKey) -> int:
    """What a series takes in memory: its texts are there as fields and as JSON."""
    return 300 + 2 * sum(map(len, filter(None, key)))


def _series(key: SeriesKey) -> Series:
    """Of fields that are in bounds. What many series have in common is one object for all of them."""
    source, name, type_, unit, resource_id, user_id, project_id = key
    digest = series_digest(*key)
    tag = int.from_bytes(digest[:4], "big")
    resource, owner = _owner(source, user_id, project_id, resource_id)
    shared = intern(source), intern(name), intern(type_), intern(unit), resource[0]
    user = None if user_id is None else intern(user_id)
    project = None if project_id is None else intern(project_id)
    meter = intern(orjson.dumps((name, type_, unit)).decode()[1:-1])
    return Series((*shared, user, project), digest, meter, owner, resource, tag >> 20, tag & 0xFFFFF)


@lru_cache(maxsize=4_096)
def _owner(source: str, user_id: str | None, project_id: str | None, resource_id: str) -> tuple[tuple[str, str], str]:
    """The key of a resource's row, and the JSON of owner and resource. A resource has some twenty series."""
    owner = orjson.dumps((user_id, project_id, resource_id)).decode()[1:-1]
    return (resource_id, intern(source)), owner


def plain_json(text: str, what: str) -> Any:
    """Plain JSON: no constants such as NaN, no numbers or nesting that could hurt. Raises `MalformedMessage`."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise MalformedMessage(f"{what} is not plain JSON: {str(exc)[:200]}") from exc


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def identity_of(text: object) -> tuple[str, bool]:
    """A message_id as the UUID it is stored under, and whether it was one (in its one canonical form)."""
    if isinstance(text, str) and _is_uuid(text):
        return text, True
    check_text("message_id", text)
    return str(uuid.uuid5(FOREIGN_IDS, str(text))), False


def says_where(identity: str, series: Series, moment: datetime) -> bool:
    """Whether the id is one of ours: made of its sample's time and series, and so found without a look-up."""
    return prefix_of(int(identity.replace("-", ""), 16)) == id_prefix(series.digest, moment)
