"""Counter, Meter and Kind: what plugins speak. Pure Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a volume means."""

    GAUGE = "gauge"  # a level, at that moment
    DELTA = "delta"  # an amount, new since the last one
    CUMULATIVE = "cumulative"  # a count that only rises, until what counts starts again from zero


class Metadata(dict[str, Any]):
    """What many samples carry, perhaps from poll to poll. It must not change: it is written as text only once."""

    __slots__ = ("written",)
    written: tuple[str, str]  # its canonical text as a JSON text, and its digest, once somebody needed them


@dataclass(frozen=True, slots=True)
class Counter:
    """One reading of one meter on one resource.

    ``volume`` is in ``unit``. A pollster may leave ``timestamp`` (aware) and ``origin`` None: the
    runner puts the poll's in. ``origin`` names what the reading came from (a notification's
    message_id, a poll's slot on its node), makes the same reading sent again the same sample, and
    is never sent itself. ``resource_metadata`` must not change once it was yielded: many counters may
    share one, and it is written only once.
    """

    name: str
    type: Kind
    unit: str
    volume: float
    user_id: str | None
    project_id: str | None
    resource_id: str
    timestamp: datetime | None = None
    resource_metadata: Mapping[str, Any] = field(default_factory=dict)
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter's name, kind and unit, said once, so that no reading can spell them differently."""

    name: str
    kind: Kind
    unit: str

    def read(
        self,
        volume: float,
        *,
        resource_id: str,
        project_id: str | None = None,
        user_id: str | None = None,
        timestamp: datetime | None = None,
        resource_metadata: Mapping[str, Any] | None = None,
        origin: str | None = None,
    ) -> Counter:
        """A reading of this meter."""
        return Counter(
            self.name,
            self.kind,
            self.unit,
            volume,
            user_id,
            project_id,
            resource_id,
            timestamp,
            resource_metadata if resource_metadata is not None else {},
            origin,
        )
