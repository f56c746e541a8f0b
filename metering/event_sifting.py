"""Which events of a batch are genuine, and why the others are not. No database here: what it must know is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from metering.bounds import check_text, parse_timestamp, timestamp_text
from metering.errors import BadSignature, MalformedMessage, MeteringError, NotAllowed
from metering.event_messages import EventBatch, event_bytes, write
from metering.events import LONGEST_NAME, LONGEST_VALUE, MOST_RAW, MOST_TRAITS, Trait, TraitType, read_value
from metering.sifting import Refused, Sifter, SignerKey, identity_of
from metering.signing import SCHEME, Signer

SENDERS = ("consumer", "api")  # roles; an operator's replay signs as the API does


class GenuineEvent(NamedTuple):
    """An event that may be stored: every check that the writer makes has passed."""

    message_id: str  # a UUID in its canonical form
    given_id: str | None  # the id as it came, where it was none
    event_type: str
    generated: datetime
    traits: tuple[Trait, ...]
    raw: str | None
    signer: SignerKey
    signature: bytes
    row: Any  # as it came


@dataclass
class SiftedEvents:
    """A batch, judged event by event."""

    publisher: str = ""
    genuine: list[GenuineEvent] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


class EventSifter:
    """Judges batches of events, by the same rules as samples are judged."""

    def __init__(self, sifter: Sifter) -> None:
        self._sifter = sifter

    def sift(self, batch: EventBatch, now: datetime, disabled: frozenset[str] = frozenset()) -> SiftedEvents:
        """Judge every event by its own signature; one bad event costs only itself."""
        sifted = SiftedEvents(batch.publisher)
        for row in batch.rows:
            try:
                sifted.genuine.append(self._genuine(batch, row, now, disabled))
            except MeteringError as exc:
                sifted.refused.append(refused(batch.publisher, batch.kid, row, str(exc)))
        return sifted

    def _genuine(self, batch: EventBatch, row: Any, now: datetime, disabled: frozenset[str]) -> GenuineEvent:
        """The event of a row, checked and verified. Raises a `MeteringError` with the reason."""
        if not isinstance(row, list) or len(row) != 6:
            raise MalformedMessage("an event is a list of six")
        signer = self._signer(batch, row)
        message_id, event_type, timestamp, _, raw, digits = row
        _check_name("message_id", message_id)
        _check_name("event_type", event_type)
        generated = parse_timestamp(timestamp)
        if timestamp_text(generated) != timestamp:
            raise MalformedMessage(f"generated {timestamp!r} is not in canonical form")
        traits = tuple(_traits(row[3]))
        _check_raw(raw)
        self._sifter.judge.check_time(generated, now)
        self._check_right(batch.publisher, disabled)
        identity, is_uuid = identity_of(message_id)
        given = None if is_uuid else message_id
        key = (SCHEME, signer.kid, signer.publisher)
        return GenuineEvent(identity, given, event_type, generated, traits, raw, key, bytes.fromhex(digits), row)

    def _signer(self, batch: EventBatch, row: list[Any]) -> Signer:
        digits = row[5]
        if not isinstance(digits, str):
            raise BadSignature("there is no signature")
        signature = f"{SCHEME}:{batch.kid}:{digits}"
        return self._sifter.rules.keyring.check(batch.publisher, signature, event_bytes(batch.publisher, row[:5]))

    def _check_right(self, publisher: str, disabled: frozenset[str]) -> None:
        if publisher in disabled:
            raise NotAllowed(f"the publisher {publisher} is disabled")
        role = publisher.partition("/")[0]
        if role not in SENDERS:
            raise NotAllowed(f"a {role} process may not send events")


def refused(publisher: str, kid: str, row: Any, reason: str) -> Refused:
    """What is kept of an event that is not stored: a batch of it alone, which can be sent again."""
    return Refused(write(publisher, kid, [row]), reason, publisher)


def fields_of(genuine: GenuineEvent) -> list[Any]:
    """What a stored event's signature was made over."""
    traits = [[trait.name, trait.type, trait.text] for trait in genuine.traits]
    moment = timestamp_text(genuine.generated)
    return [genuine.given_id or genuine.message_id, genuine.event_type, moment, traits, genuine.raw]


def _traits(given: Any) -> Iterator[Trait]:
    """The traits of a row, each name once, in order. Raises `MalformedMessage`."""
    if not isinstance(given, list) or len(given) > MOST_TRAITS:
        raise MalformedMessage(f"traits must be a list of at most {MOST_TRAITS}")
    before = ""
    for item in given:
        if not isinstance(item, list) or len(item) != 3:
            raise MalformedMessage("a trait is a list of name, type and value")
        name, type_, text = item
        _check_name("a trait's name", name)
        if name <= before:
            raise MalformedMessage(f"trait {name!r} comes twice, or is not in order")
        if type_ not in tuple(TraitType):
            raise MalformedMessage(f"trait {name!r} has the type {str(type_)[:40]!r}")
        check_text(f"trait {name!r}", text, empty=True)
        if len(text) > LONGEST_VALUE:
            raise MalformedMessage(f"trait {name!r} is longer than {LONGEST_VALUE} characters")
        yield Trait(name, TraitType(type_), read_value(TraitType(type_), text))
        before = name


def _check_name(what: str, value: object) -> None:
    check_text(what, value)
    if len(str(value)) > LONGEST_NAME:
        raise MalformedMessage(f"{what} is longer than {LONGEST_NAME} characters")


def _check_raw(raw: object) -> None:
    if raw is None:
        return
    if not isinstance(raw, str) or len(raw) > MOST_RAW or "\0" in raw:
        raise MalformedMessage(f"raw must be a text of at most {MOST_RAW} characters without NUL, or null")
    try:
        is_object = isinstance(orjson.loads(raw), dict)
    except ValueError as exc:
        raise MalformedMessage(f"raw is no JSON: {str(exc)[:200]}") from exc
    if not is_object:
        raise MalformedMessage("raw must be an object")
