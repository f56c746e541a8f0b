"""States of OpenStack's objects as numbers; the numbers are Ceilometer's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache

log = logging.getLogger(__name__)

UNKNOWN = -1

NETWORK = {
    "inactive": 0,
    "active": 1,
    "pending_create": 2,
    "down": 3,
    "created": 4,
    "pending_update": 5,
    "pending_delete": 6,
    "error": 7,
}
OPERATING = {"online": 1, "draining": 2, "offline": 3, "degraded": 4, "error": 5, "no_monitor": 6}
PROVISIONING = {
    "active": 1,
    "deleted": 2,
    "error": 3,
    "pending_create": 4,
    "pending_update": 5,
    "pending_delete": 6,
}
ZONE = {"active": 1, "pending": 2, "error": 3, "deleted": 4}
SERVICE = {"up": 1, "down": 0}
SHARE = {
    "available": 1,
    "creating": 2,
    "deleting": 3,
    "error": 4,
    "error_deleting": 5,
    "migrating": 6,
    "extending": 7,
    "shrinking": 8,
    "reverting": 9,
    "inactive": 10,
    "manage_starting": 11,
    "manage_error": 12,
    "unmanage_starting": 13,
    "unmanage_error": 14,
    "unmanaged": 15,
    "extending_error": 16,
    "shrinking_error": 17,
    "reverting_error": 18,
    "awaiting_transfer": 19,
    "backup_creating": 20,
    "backup_restoring": 21,
    "backup_restoring_error": 22,
    "creating_from_snapshot": 23,
    "shrinking_possible_data_loss_error": 24,
    "migrating_to": 25,
    "replication_change": 26,
}


def code(states: Mapping[str, int], state: object, meter: str) -> int:
    """The state's number; one that the table does not have is -1, with a warning."""
    known = states.get(str(state).lower())
    if known is None:
        _warn(meter, str(state)[:80])
        return UNKNOWN
    return known


@cache  # once in a process: a state unknown to us is often that of every object
def _warn(meter: str, state: str) -> None:
    log.warning("%s: the state %r is not known here, and is sent as %d", meter, state, UNKNOWN)
