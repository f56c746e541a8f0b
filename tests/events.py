"""Events as the consumer makes them, on their way to the store."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from metering.event_messages import event_bytes, pack
from metering.event_sifting import EventSifter, SiftedEvents
from metering.events import Event, Trait, TraitType
from metering.sifting import Sifter
from metering.signing import Keyring
from metering.store import keys, partitions
from metering.tasks import events as storage
from tests.factories import KEYS, at
from tests.metering.storing import RULES

ID = "2d6e0f7a-c86a-11f0-8de9-{:012d}"
_TYPES = {str: TraitType.STRING, int: TraitType.INTEGER, float: TraitType.FLOAT, datetime: TraitType.DATETIME}


def event(
    number: int = 1, seconds: float = 0, *, of: str = "volume.create.end", raw: str | None = None, **traits: Any
) -> Event:
    """An event of that number, so many seconds after the factories' noon; of the project red unless told otherwise."""
    values = {"project_id": "red", "resource_id": f"v-{number}"} | traits
    made = (Trait(name, _TYPES[type(value)], value) for name, value in sorted(values.items()) if value is not None)
    return Event(ID.format(number), of, at(seconds), tuple(made), raw)


def batch(*events: Event, publisher: str = "consumer/c1", keyring: Keyring = KEYS) -> str:
    [text] = pack(events, keyring.signer(publisher))
    return text


def record(*batches: str) -> list[SiftedEvents]:
    """Through the worker's own way."""
    sifter = EventSifter(Sifter(RULES))
    return [storage.record(text, sifter) for text in batches]


def store(*events: Event) -> None:
    """Store these events; what is refused is a mistake of the test."""
    keys.forget()  # a test's rows went with its transaction
    partitions.forget()
    for sifted in record(batch(*events)):
        assert not sifted.refused, sifted.refused


SIGNER = KEYS.signer("consumer/c1")
ALL_TYPES = event(7, 1.5, host="n1", vcpus=2, load=0.25, launched_at=at(3.5), raw='{"payload":{"a":1}}')


def changed(number: int, value: Any, *, sign: bool = True, publisher: str = "consumer/c1") -> str:
    """A batch of a good event and one with another part, signed as it is then."""
    parts = json.loads(batch(event(1), ALL_TYPES, publisher=publisher))
    row = parts["events"][1]
    row[number] = value
    if sign:
        row[5] = KEYS.signer(publisher).digest(event_bytes(publisher, row[:5]))
    return json.dumps(parts)
