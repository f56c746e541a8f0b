"""What comes of judging a batch: messages that may be stored, and others with the reason why not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from metering import messages
from metering.bounds import timestamp_text
from metering.signing import SCHEME, Signer

SeriesKey = tuple[str, str, str, str, str, str | None, str | None]  # source, meter, type, unit, resource, user, project
SignerKey = tuple[str, str, str]  # scheme, kid, publisher


@dataclass(frozen=True, slots=True)
class Series:
    """A series whose fields were found to be in bounds, with what each of its samples needs of it."""

    key: SeriesKey
    digest: bytes
    meter: str  # name, type and unit as JSON, as signed
    owner: str  # user, project and resource as JSON, as signed
    resource: tuple[str, str]  # its id and source: the key of the table ``resource``
    id_middle: int  # the tag's upper 12 bits: what a message_id of ours says between its time and its middle
    id_rest: int  # and the lower 20, which follow


class Genuine(NamedTuple):
    """A message that may be stored: every check that the writer makes has passed."""

    series: Series
    ts: datetime
    volume: float
    metadata: str  # its JSON text: what was signed
    message_id: str  # a UUID in its canonical form
    signer: SignerKey
    signature: bytes  # 32 of them
    foreign_id: bool  # the id does not say where its row is
    original: str | None  # the message's text, when packing the row again would not give it back


class Refused(NamedTuple):
    """A message that may not be stored, as plain JSON, and why."""

    body: str
    reason: str
    publisher: str


@dataclass
class Sifted:
    """A batch, judged message by message."""

    genuine: list[Genuine] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    receipt: messages.Header | None = None  # the header, when its signature is good
    signer: Signer | None = None


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
