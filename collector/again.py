"""A notification heard again, from wherever it was kept: its exchange may have to be found by its event type."""

from __future__ import annotations

from collector.hearing import Heard, hear, malformed
from collector.index import Index
from collector.notification import decode, event_type_of
from metering.errors import MalformedNotification


def hear_again(body: bytes | str, exchange: str | None, index: Index) -> Heard:
    """As `hear`; where nobody knows the exchange, it is the one whose listeners want the event type."""
    if exchange:
        return hear(body, exchange, index)
    event_type = None
    try:
        event_type = event_type_of(decode(body, exact=True))
        exchanges = index.exchanges(event_type)
        if len(exchanges) > 1:
            raise MalformedNotification(f"{', '.join(exchanges)}: say with --exchange which one said it")
    except MalformedNotification as exc:
        return malformed(exc, event_type)
    return hear(body, exchanges[0], index) if exchanges else Heard(event_type)
