"""Samples in the store, put there the way every sample gets there: packed, signed, verified, written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from metering import ceilometer, messages, packing
from metering.counters import Counter, Kind
from metering.models import Token
from metering.sifting import Rules, Sifter
from metering.signing import Keyring
from metering.store import keys, partitions, writing

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEYS = Keyring({"k1": b"a secret of the tests"})
CEILOMETER_SECRET = "s3cret"


def at(seconds: float = 0) -> datetime:
    """A time that many seconds after `NOON`."""
    return NOON + timedelta(seconds=seconds)


def reading(
    volume: float = 1.0,
    seconds: float = 0,
    *,
    meter: str = "cpu",
    kind: Kind = Kind.CUMULATIVE,
    unit: str = "ns",
    resource: str = "web-1",
    project: str | None = "red",
    user: str | None = "ruth",
    metadata: dict[str, Any] | None = None,
    origin: str | None = None,
) -> Counter:
    """One reading, ``seconds`` after `NOON`; by default of the CPU of an instance of the project red."""
    return Counter(meter, kind, unit, volume, user, project, resource, at(seconds), metadata or {}, origin)


def store(*counters: Counter, source: str = "openstack", publisher: str = "compute/node-1") -> None:
    """Store these readings, in one batch for each thousand."""
    record(packing.pack(counters, signer=KEYS.signer(publisher), source=source))


def store_foreign(message_id: str, counter: Counter) -> None:
    """Store a reading that a Ceilometer agent sent, under this id."""
    assert counter.timestamp is not None
    message = {
        "source": "openstack",
        "counter_name": counter.name,
        "counter_type": str(counter.type),
        "counter_unit": counter.unit,
        "counter_volume": counter.volume,
        "user_id": counter.user_id,
        "project_id": counter.project_id,
        "resource_id": counter.resource_id,
        "timestamp": counter.timestamp.replace(tzinfo=None).isoformat(),
        "resource_metadata": dict(counter.resource_metadata),
        "message_id": message_id,
    }
    message["message_signature"] = ceilometer.signature(message, CEILOMETER_SECRET)
    record(packing.pack_whole([json.dumps(message)], signer=KEYS.signer("api/test"), source="openstack"))


def record(batches: Iterable[str]) -> None:
    """Verify and write; what is refused is a mistake of the test."""
    keys.forget()  # a test's rows went with its transaction
    partitions.forget()
    sifter = Sifter(Rules(KEYS, ceilometer_secrets=(CEILOMETER_SECRET,)))
    for batch in batches:
        sifted = sifter.sift(messages.read(batch), now=at(86_400))
        assert not sifted.refused, sifted.refused
        writing.record(sifted, now=at())


def token(project: str | None = None) -> str:
    """A token of a project, or, without one, an admin's."""
    return Token.issue("a test", project_id=project, is_admin=project is None, user_id=f"user of {project}")
