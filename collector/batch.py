"""Notifications that were taken and not yet acknowledged, and what was made of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from collector.dead_letters import DeadLetter
from collector.hearing import Heard
from metering.counters import Counter
from metering.event_messages import RECORD_EVENTS, pack
from metering.events import Event
from metering.messages import MOST_SAMPLES
from metering.packing import pack_whole
from metering.publish import Publisher

MOST_NOTIFICATIONS = 500  # half of the prefetch: the broker fills the other half meanwhile
FULL = MOST_SAMPLES - 50  # so that the last notification's samples do not become a batch of their own
MOST_HELD = 32 << 20  # bytes
LONGEST_WAIT = 0.03  # seconds that the first one waits for company


@dataclass(slots=True)
class Pack:
    """Counters that go out together, of notifications that are all different."""

    message_ids: set[str] = field(default_factory=set)
    counters: list[Counter] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """What is published together, and whose messages are acknowledged only after all of it is confirmed."""

    messages: list[Any] = field(default_factory=list)  # what acknowledges each, in order of arrival
    packs: list[Pack] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)  # metering messages that others signed
    letters: list[DeadLetter] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    samples: int = 0
    held: int = 0  # bytes of what waits as it came: the letters' bodies, and others' messages
    since: float = 0.0  # monotonic time of its first message

    def add(self, message: Any, heard: Heard, letter: DeadLetter | None) -> None:
        if not self.messages:
            self.since = time.monotonic()
        self.messages.append(message)
        self.samples += len(heard.counters) + len(heard.whole)
        self.whole += heard.whole
        self.held += sum(map(len, heard.whole))
        if heard.counters and heard.message_id:
            pack = self._pack(heard.message_id)
            pack.message_ids.add(heard.message_id)
            pack.counters += heard.counters
        if heard.event is not None:
            self.events.append(heard.event)
        if letter is not None:
            self.letters.append(letter)
            self.held += len(letter.body)

    def _pack(self, message_id: str) -> Pack:
        """The pack for one more notification: a repeated one never shares a pack with its first delivery.

        Packed together they would count as two readings; apart, both are the same samples again.
        """
        if not self.packs or message_id in self.packs[-1].message_ids:
            self.packs.append(Pack())
        return self.packs[-1]

    @property
    def full(self) -> bool:
        return len(self.messages) >= MOST_NOTIFICATIONS or self.samples >= FULL or self.held >= MOST_HELD

    def wait(self) -> float | None:
        """Seconds until it should go out; None while it is empty."""
        if not self.messages:
            return None
        return 0.0 if self.full else max(0.0, self.since + LONGEST_WAIT - time.monotonic())

    def publish(self, publisher: Publisher) -> int:
        """Send all packs; how many samples went out. Raises `BrokerAway`: then what is confirmed is gone from here."""
        sent = 0
        while self.packs:
            for text in publisher.pack(self.packs[0].counters):
                publisher.send(text)
            sent += len(self.packs.pop(0).counters)
        for text in pack_whole(self.whole, signer=publisher.signer, source=publisher.source):
            publisher.send(text)
        sent += len(self.whole)
        self.whole = []
        return sent

    def publish_events(self, publisher: Publisher) -> int:
        """The same for events, none of which costs nothing; one that is sent again is the same event."""
        sent = len(self.events)
        for text in pack(self.events, publisher.signer):
            publisher.send(text, RECORD_EVENTS)
        self.events.clear()
        return sent
