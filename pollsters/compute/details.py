"""What nova tells of the instances beyond what it wrote into their definitions. Off unless a cloud is named.

Nova is asked in a thread of its own, for one instance after the other; a poll waits for it a moment only, and
goes on with what was known before.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from metering.errors import InstanceGone, PollError
from pollsters.compute.survey import Attempt

log = logging.getLogger(__name__)

BELIEVED_SECONDS = 600  # at least, up to twice as long: they must not all become old at one poll
FAILURES = 3  # after which nova is left alone until the next poll
PATIENCE_SECONDS = 2.0  # for which a poll waits when there are instances of which nothing is known yet

Fetch = Callable[[str], Mapping[str, Any]]
"""Nova's own document of a server, by its id. Raises `InstanceGone` for one that it does not know, and `PollError`."""


@dataclass(frozen=True, slots=True)
class Detail:
    """What nova told of one instance."""

    metadata: Mapping[str, Any] = field(default_factory=dict)  # goes into the samples' own
    tags: Mapping[str, Any] = field(default_factory=dict)  # the user's own keys and values, not yet sifted


class Details(Protocol):
    """Who tells more of instances."""

    def ask(self, identities: set[str]) -> None:
        """These instances are here: find out about them, beside whatever else goes on."""

    def known(self, seconds: float) -> Mapping[str, Detail]:
        """What is known by now, or at most this much later, by instance id."""


class Nothing:
    """Nobody tells more."""

    def ask(self, identities: set[str]) -> None:
        pass

    def known(self, seconds: float) -> Mapping[str, Detail]:
        return {}


class NovaDetails:
    """What nova told, kept for a while; what it told last, as long as it does not answer."""

    def __init__(self, fetch: Fetch, believed: float = BELIEVED_SECONDS) -> None:
        self._fetch, self._believed = fetch, believed
        self._known: dict[str, tuple[Detail, float]] = {}  # with the monotonic time until which it is believed
        self._asked: set[str] = set()
        self._asking: Attempt[None] | None = None

    def ask(self, identities: set[str]) -> None:
        self._asked = identities
        for gone in set(self._known) - identities:  # a copy: a slow answer may come meanwhile
            del self._known[gone]
        if self._asking is None or self._asking.wait(0):
            now = time.monotonic()
            # Those of which nothing is known come first.
            old = sorted((name for name in identities if self._until(name) < now), key=self._until)
            self._asking = Attempt(partial(self._ask_for, old)) if old else None

    def known(self, seconds: float) -> Mapping[str, Detail]:
        if self._asking is not None and self._asked - self._known.keys():
            self._asking.wait(min(seconds, PATIENCE_SECONDS))
        return {identity: detail for identity, (detail, _) in list(self._known.items())}

    def _until(self, identity: str) -> float:
        known = self._known.get(identity)
        return known[1] if known else 0.0

    def _ask_for(self, identities: Iterable[str]) -> None:
        """Ask nova until it fails again and again: then it may be away, and the next poll tries again."""
        failed = 0
        for identity in identities:
            try:
                detail = read(self._fetch(identity))
            except InstanceGone:
                detail = Detail()  # not one of nova's
            except PollError as exc:
                failed += 1
                if failed == FAILURES:
                    log.warning("nova tells nothing more of instances now: %s", exc)
                    return
                continue
            spread = zlib.crc32(identity.encode()) / (1 << 32)
            self._known[identity] = detail, time.monotonic() + self._believed * (1 + spread)


# What samples carry -> where nova's document has it.
_FIELDS = {
    "display_name": "name",
    "host": "hostId",
    "task_state": "OS-EXT-STS:task_state",
    "OS-EXT-AZ:availability_zone": "OS-EXT-AZ:availability_zone",
    "kernel_id": "OS-EXT-SRV-ATTR:kernel_id",
    "ramdisk_id": "OS-EXT-SRV-ATTR:ramdisk_id",
    "reservation_id": "OS-EXT-SRV-ATTR:reservation_id",
}


def read(server: Mapping[str, Any]) -> Detail:
    """What a server's document tells; what it does not, or not as text, is left as it was. Raises `PollError`."""
    if not isinstance(server, Mapping):
        raise PollError(f"a server that is no object but {type(server).__name__}")
    told = {name: server.get(key) for name, key in _FIELDS.items()}
    tags = server.get("metadata")
    return Detail(
        metadata={name: value for name, value in told.items() if isinstance(value, str) and value},
        tags=tags if isinstance(tags, Mapping) else {},
    )
