"""Ask many guests in a few parallel calls, any of which may never return.

Libvirt's calls cannot be cancelled: a guest whose monitor hangs blocks the call, and with it every
other guest of that call, until the guest goes on or dies. So each call has a thread of its own that
can be left behind, and a call that is overdue is looked into: the guest that blocks it is found and
set aside, and the others are for the caller to ask again, by another connection.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from metering.errors import HypervisorAway

CALLS = 4  # at a time; libvirtd answers five requests of one client at once, and one is left to look into the others
OVERDUE_SECONDS = 1.0  # after which a call is looked into; a guest's monitor answers in milliseconds
HUNG_SECONDS = 1.0  # a monitor that is occupied for so long hangs

T = TypeVar("T")


class Guest(Protocol):
    """What a guest must have to be asked for."""

    @property
    def id(self) -> str: ...


G = TypeVar("G", bound=Guest)


class Attempt(Generic[T]):
    """A call in a thread of its own, which ends with the process whatever the call does."""

    def __init__(self, work: Callable[[], T], ended: queue.SimpleQueue[Any] | None = None) -> None:
        self._work, self._ended = work, ended
        self._done = threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as exc:  # noqa: BLE001 # it is raised again where the result is asked for
            self._error = exc
        self._done.set()
        if self._ended is not None:
            self._ended.put(self)

    def wait(self, seconds: float) -> bool:
        """Whether the call has ended, by now or within this time."""
        return self._done.wait(max(seconds, 0.0))

    def result(self) -> T:
        """What the call returned; raises what it raised. Only for a call that has ended, and once."""
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error  # which holds this frame, and that one the call's connection, until a garbage collection
        return self._result  # type: ignore[return-value] # it has ended without an error


def within(seconds: float, work: Callable[[], T], what: str) -> T:
    """The result of a call that must end in this time, else `HypervisorAway`."""
    attempt = Attempt(work)
    if not attempt.wait(seconds):
        raise HypervisorAway(f"{what} did not answer within {seconds:.1f} s")
    return attempt.result()


@dataclass(slots=True)
class Round(Generic[T]):
    """What one round of calls gave."""

    answers: dict[str, T] = field(default_factory=dict)  # by guest id; a guest that went away has none
    hung: dict[str, float] = field(default_factory=dict)  # guest id -> seconds for which its monitor was occupied
    stuck: bool = False  # a call is still blocked: this connection is no more to be used
    lost: HypervisorAway | None = None  # what ended some of the calls


def ask(
    guests: Sequence[G],
    look: Callable[[Sequence[G]], Round[T]],
    busy: Callable[[G], float],
    until: float,
) -> Round[T]:
    """Call ``look`` on a few parts of the guests at once, until monotonic time ``until``.

    ``busy`` tells for how many seconds a guest's monitor has been occupied; a monitor never blocks it.
    When ``look`` raises `HypervisorAway`, that is in the answer; whatever else it raises is raised.
    """
    ended: queue.SimpleQueue[Attempt[Round[T]]] = queue.SimpleQueue()
    parts = [guests[start::CALLS] for start in range(min(CALLS, len(guests)))]
    calls = {Attempt(partial(look, part), ended): part for part in parts}
    total: Round[T] = Round()
    look_into_at = time.monotonic() + OVERDUE_SECONDS
    while calls:
        try:
            call = ended.get(timeout=max(min(look_into_at, until) - time.monotonic(), 0.0))
        except queue.Empty:
            _leave_blocked(calls, busy, total, until)
            look_into_at = time.monotonic() + OVERDUE_SECONDS / 2
            continue
        if calls.pop(call, None) is None:
            continue  # it was left behind
        try:
            answer = call.result()
        except HypervisorAway as exc:
            total.lost = exc
        else:
            total.answers |= answer.answers
            total.hung |= answer.hung
    return total


def hanging(guests: Iterable[G], busy: Callable[[G], float]) -> dict[str, float]:
    """The guests whose monitors hang, by id, with the seconds for which they have been occupied."""
    seconds = {guest.id: busy(guest) for guest in guests}
    return {identity: occupied for identity, occupied in seconds.items() if occupied >= HUNG_SECONDS}


def _leave_blocked(
    calls: dict[Attempt[Round[T]], Sequence[G]], busy: Callable[[G], float], total: Round[T], until: float
) -> None:
    """Leave behind the overdue calls that a hung guest blocks, and all of them once the time is over."""
    for call, part in list(calls.items()):
        hung: dict[str, float] = {}
        with contextlib.suppress(HypervisorAway):  # no answer, or the calls themselves will say so
            hung = within(max(until - time.monotonic(), 0.1), partial(hanging, part, busy), "libvirt")
        if hung or time.monotonic() >= until:
            total.hung |= hung
            total.stuck = True
            del calls[call]
