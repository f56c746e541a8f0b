"""What is stored, and every question we ask of it. Written by ``metering.store``, never by ``save()``."""

from metering.models.access import Caller, Token
from metering.models.days import LedgerDay
from metering.models.digests import Digest
from metering.models.events import Event, EventTrait, EventType
from metering.models.leases import Lease
from metering.models.ledger import (
    ForeignId,
    Resource,
    ResourceMetadata,
    Sample,
    SampleOriginal,
    Series,
    Signer,
    ToldMetadata,
)
from metering.models.nodes import Node, PollSlot
from metering.models.posts import PostKey
from metering.models.quarantine import Quarantine
from metering.models.rollups import SampleDay, SampleHour
from metering.models.rows import SampleRow
from metering.models.watermarks import Late, RollupState

__all__ = [
    "Caller",
    "Digest",
    "Event",
    "EventTrait",
    "EventType",
    "ForeignId",
    "Late",
    "Lease",
    "LedgerDay",
    "Node",
    "PollSlot",
    "PostKey",
    "Quarantine",
    "Resource",
    "ResourceMetadata",
    "RollupState",
    "Sample",
    "SampleDay",
    "SampleHour",
    "SampleOriginal",
    "SampleRow",
    "Series",
    "Signer",
    "Token",
    "ToldMetadata",
]
