"""What is stored, and every question we ask of it. Written by ``metering.store``, never by ``save()``."""

from metering.models.access import Caller, Token
from metering.models.events import Event, EventTrait, EventType
from metering.models.ledger import (
    ForeignId,
    Resource,
    ResourceMetadata,
    Sample,
    SampleOriginal,
    Series,
    Signer,
)
from metering.models.nodes import Node, PollSlot
from metering.models.quarantine import Quarantine
from metering.models.rows import SampleRow

__all__ = [
    "Caller",
    "Event",
    "EventTrait",
    "EventType",
    "ForeignId",
    "Node",
    "PollSlot",
    "Quarantine",
    "Resource",
    "ResourceMetadata",
    "Sample",
    "SampleOriginal",
    "SampleRow",
    "Series",
    "Signer",
    "Token",
]
