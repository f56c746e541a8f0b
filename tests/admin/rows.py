"""Rows as the storage workers leave them, for pages to show."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from metering.models import (
    Node,
    PollSlot,
    Quarantine,
    Resource,
    ResourceMetadata,
    Sample,
    SampleRow,
    Series,
    Signer,
)
from metering.store import partitions

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

NOON = datetime(2026, 3, 4, 12, 0, 0, 250_000, UTC)
WEB = "7f1d9c1e-6b1f-4d6e-8f0b-0a4f6a7c2d11"


def read(answer: Answer) -> str:
    """The page, with one space wherever its template has any."""
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def metadata(body: str = '{"flavor":{"name":"m1.small"},"display_name":"web"}') -> ResourceMetadata:
    row, _ = ResourceMetadata.objects.get_or_create(digest=_digest(body), defaults={"body": body})
    return row


def series(meter: str = "cpu", resource_id: str = WEB, **fields: Any) -> Series:
    values: dict[str, Any] = {
        "source": "openstack",
        "type": "cumulative",
        "unit": "ns",
        "project_id": "demo",
        "user_id": None,
    } | fields
    digest = _digest(f"{meter} {resource_id} {values}")
    return Series.objects.get_or_create(
        digest=digest,
        defaults={"tag": int.from_bytes(digest[:4], "big"), "meter": meter, "resource_id": resource_id, **values},
    )[0]


def our_id(of: Series, ts: datetime, number: int = 0) -> uuid.UUID:
    """A message id as ours are: its first bits tell the time and the series."""
    milliseconds = (ts - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return uuid.UUID(
        int=milliseconds << 80 | 8 << 76 | (of.tag >> 20) << 64 | 2 << 62 | (of.tag & 0xFFFFF) << 42 | number
    )


def sample(of: Series, ts: datetime = NOON, volume: float = 42.0, **fields: Any) -> SampleRow:
    partitions.forget()
    partitions.ensure([ts.date()])
    signer, _ = Signer.objects.get_or_create(scheme="n1", kid="k1", publisher="compute/host-1")
    values: dict[str, Any] = {
        "message_id": our_id(of, ts),
        "volume": volume,
        "recorded_at": ts + timedelta(seconds=2),
        "metadata": metadata(),
        "signer": signer,
        "signature": b"\x01" * 32,
    } | fields
    Sample.objects.create(series=of, ts=ts, **values)
    return SampleRow.objects.get(series=of, ts=ts, message_id=values["message_id"])


def resource(resource_id: str = WEB, last_sample: datetime = NOON, **fields: Any) -> Resource:
    values: dict[str, Any] = {
        "source": "openstack",
        "project_id": "demo",
        "publisher": "compute/host-1",
        "metadata": metadata(),
    }
    return Resource.objects.create(
        resource_id=resource_id, first_sample=last_sample, last_sample=last_sample, **(values | fields)
    )


def node(name: str = "host-1", role: str = "compute", **fields: Any) -> Node:
    return Node.objects.create(publisher=f"{role}/{name}", role=role, name=name, **fields)


def poll(due: datetime, node: str = "host-1", *, parts: int | None = 1, received: int = 1, **fields: Any) -> PollSlot:
    values: dict[str, Any] = {
        "source": "default",
        "slot": int(due.timestamp()) // 60,
        "shard": 0,
        "deadline": due + timedelta(seconds=48),
    }
    return PollSlot.objects.create(due=due, node=node, parts=parts, received=received, **(values | fields))


def missed_poll(due: datetime, node: str = "host-1", **fields: Any) -> PollSlot:
    return poll(due, node, parts=None, received=0, **fields)


def refused(body: bytes, reason: str = "The signature does not fit.", **fields: Any) -> Quarantine:
    values: dict[str, Any] = {"kind": Quarantine.Kind.BATCH, "publisher": "compute/host-9"} | fields
    return Quarantine.objects.create(digest=hashlib.sha256(body).digest(), body=body, reason=reason, **values)
