"""What the guests' definitions say, each read once until it may have changed."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from pollsters.compute import libvirt_xml
from pollsters.compute.connection import Connection, Handle
from pollsters.compute.libvirt_xml import Domain

# For which a definition is believed at least, when libvirt says nothing of a change: events may get lost.
BELIEVED_SECONDS = 300


@dataclass(frozen=True, slots=True)
class _Known:
    """A definition that was read before."""

    domain: Domain
    run: int
    until: float  # monotonic


class Definitions:
    """The definitions of one host's guests; asked by several threads, each for guests of its own."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._known: dict[str, _Known] = {}

    def of(self, connection: Connection, handle: Handle) -> Domain:
        """What the guest's definition says. Raises `PollError`, `InstanceGone`, `HypervisorAway`."""
        known = self._known.get(handle.id)
        if known is None or known.run != handle.run or known.until < time.monotonic():
            domain = libvirt_xml.parse(connection.definition(handle), self._node)
            # Up to twice the time, by the guest's id: they must not all become old at one poll.
            spread = zlib.crc32(handle.id.encode()) % BELIEVED_SECONDS
            known = _Known(domain, handle.run, time.monotonic() + BELIEVED_SECONDS + spread)
            self._known[handle.id] = known
        return known.domain

    def forget(self, identities: Iterable[str]) -> None:
        """These have changed."""
        for identity in identities:
            self._known.pop(identity, None)

    def forget_all(self) -> None:
        """Nobody would have told of a change."""
        self._known.clear()

    def keep(self, identities: set[str]) -> None:
        """No other guest is here any more."""
        self._known = {identity: known for identity, known in self._known.items() if identity in identities}
