"""Who asked keystone for a token, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator

from collector.notification import Notification
from collector.payload import mapping, resource, said
from metering.counters import Counter, Kind, Meter

OUTCOMES = {
    outcome: Meter(f"identity.authenticate.{outcome}", Kind.DELTA, "user")
    for outcome in ("success", "pending", "failure")
}


class AuthenticationListener:
    """Each attempt as 1 of its outcome, once. It is a person's, and nobody's project: none is chosen yet."""

    meters = tuple(OUTCOMES.values())
    exchange = "keystone"
    event_types = ("identity.authenticate",)

    def counters(self, notification: Notification) -> Iterator[Counter]:
        payload = mapping(notification.payload, "its payload")
        initiator = mapping(payload.get("initiator"), "its initiator")
        outcome = payload.get("outcome")
        if outcome not in OUTCOMES:
            raise ValueError(f"its outcome must be one of {', '.join(OUTCOMES)}, not {str(outcome)[:40]!r}")
        user = resource(initiator.get("id"), "id of its initiator")
        host = initiator.get("host")
        yield OUTCOMES[outcome].read(
            1,
            resource_id=user,
            user_id=user,
            timestamp=notification.timestamp,
            origin=notification.message_id,
            resource_metadata=said(
                address=host.get("address") if isinstance(host, dict) else None,
                agent=host.get("agent") if isinstance(host, dict) else None,
                action=payload.get("action"),
                type_uri=payload.get("typeURI"),
                host=notification.publisher_id,
            ),
        )
