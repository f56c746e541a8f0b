"""Stored events, read again to be verified."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from metering.bounds import timestamp_text
from metering.errors import MeteringError
from metering.event_messages import event_bytes
from metering.models import Event
from metering.models.event_queries import EventQuestion
from metering.signing import Keyring

PAGE = 1_000  # rows


def pages(start: datetime | None = None, end: datetime | None = None, size: int = PAGE) -> Iterator[list[Event]]:
    """The events of a span of time, both ends included, oldest first; a statement for each page, no cursor."""
    found = Event.objects.matching(EventQuestion(start=start, end=end)).oldest_first().select_related("signer")
    page = list(found[:size])
    while page:
        yield page
        last = page[-1]
        page = list(found.after(last)[:size])


def fault(event: Event, keyring: Keyring) -> str | None:
    """Why a stored event does not verify from what is stored; None when it does."""
    signer = event.signer
    try:
        traits = [[trait.name, trait.type, trait.text] for trait in event.trait_list()]
        moment = timestamp_text(event.generated)
        data = event_bytes(signer.publisher, [event.shown_id, event.event_type.name, moment, traits, event.raw])
        if keyring.signer(signer.publisher, signer.kid).digest(data) != bytes(event.signature).hex():
            return "the signature does not fit what is stored"
    except MeteringError as exc:
        return str(exc)
    except (ValueError, TypeError, LookupError, AttributeError) as exc:  # a stored trait was changed
        return f"what is stored is no event: {exc}"
    return None
