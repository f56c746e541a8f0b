"""Read a compute host once per poll, whatever hangs on it.

Guests whose monitors hang are found and set aside (see `survey`), and what libvirt knows of them without
their monitors is taken all the same. What libvirt is asked is in `libvirt_host`; what its figures mean, in
`libvirt_records`.
"""

from __future__ import annotations

import logging
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from metering.errors import HypervisorAway, InstanceGone, PollError
from pollsters.compute.connection import Connection, Handle
from pollsters.compute.definitions import Definitions
from pollsters.compute.details import Details, Nothing
from pollsters.compute.growth import Growths
from pollsters.compute.hypervisor import Statistic
from pollsters.compute.lanes import Lanes
from pollsters.compute.libvirt_calls import SHUT_OFF
from pollsters.compute.libvirt_records import Record, unknown_devices
from pollsters.compute.libvirt_xml import Domain
from pollsters.compute.reading import Guest, Policy, Reading, Roster
from pollsters.compute.survey import Attempt, Round, ask, hanging, within

log = logging.getLogger(__name__)

MOST_HUNG = 12  # each costs libvirtd one of its (by default) 20 workers until it goes on: risk no more of them
SHARE_FOR_MONITORS = 0.8  # of the time; the rest is for what hung guests still tell
MONITORED = frozenset({Statistic.CPU, Statistic.MEMORY, Statistic.DISKS, Statistic.SPACE})

Answer = Guest | PollError


class ComputeHost:
    """The hypervisor of a host, read again and again by one process, over connections of its own."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        node: str,
        policy: Policy | None = None,
        growths: Growths | None = None,
        details: Details | None = None,
    ) -> None:
        self._connect, self._policy = connect, policy or Policy()
        self._growths, self._details = growths, details or Nothing()
        self._connection: Connection | None = None  # for calls that end; its events tell of changes
        self._lanes = Lanes(connect)
        self._opening: Attempt[Connection] | None = None
        self._resting: Attempt[None] | None = None
        self._definitions, self._roster = Definitions(node), Roster()

    def read(self, needs: frozenset[Statistic], seconds: float) -> Reading:
        """Read what is needed of every guest, in at most about ``seconds``; of those that are off, if they are wanted.

        Raises `HypervisorAway` when nothing could be read; the next reading then tries a new connection.
        """
        start = time.monotonic()
        until = start + seconds
        needs |= {Statistic.STATE}
        try:
            connection = self._usable(until)
            handles = within(until - time.monotonic(), connection.running, "libvirt")
            stopped = self._stopped(connection, until)
        except HypervisorAway:
            self._leave()
            raise
        here = {handle.id for handle in (*handles, *stopped)}
        self._definitions.keep(here)
        self._roster.keep(here)
        self._details.ask(here)
        read_at = datetime.now(UTC)
        total = self._rounds(connection, handles, needs, start + seconds * SHARE_FOR_MONITORS)
        if total.lost is not None and not total.answers:
            raise total.lost
        silent = [handle for handle in handles if handle.id not in total.answers]
        total.answers |= self._without_monitors(silent, needs, total.hung, until)
        total.answers |= self._at_rest(stopped, needs, until)
        details = self._details.known(until - time.monotonic())
        errors = self._errors(total, silent)
        return Reading(read_at, _guests(total), self._policy, details, self._growths, self._roster, errors)

    def _stopped(self, connection: Connection, until: float) -> Sequence[Handle]:
        if not self._policy.report_stopped:
            return ()
        return within(until - time.monotonic(), connection.stopped, "libvirt")

    def _rounds(
        self, connection: Connection, handles: Sequence[Handle], needs: frozenset[Statistic], until: float
    ) -> Round[Answer]:
        """Ask every guest, and those again whose call was blocked by a guest that hangs."""
        total: Round[Answer] = Round()
        while handles:
            found = ask(handles, partial(self._look, needs), connection.busy, until)
            total.answers |= found.answers
            total.hung |= found.hung
            total.lost = found.lost
            if found.lost or not found.stuck or time.monotonic() >= until or len(total.hung) >= MOST_HUNG:
                break
            settled = total.answers.keys() | total.hung.keys()
            handles = [handle for handle in handles if handle.id not in settled]
        return total

    def _look(self, needs: frozenset[Statistic], part: Sequence[Handle]) -> Round[Answer]:
        """Read some guests, in one thread."""
        wanted = {handle.id for handle in part}
        with self._lanes.one() as connection:
            handles = [handle for handle in connection.running() if handle.id in wanted]
            found = self._read(connection, needs, handles)
        for gone in wanted - {handle.id for handle in handles}:
            found.answers[gone] = InstanceGone("it went away during the poll")
        return found

    def _read(self, connection: Connection, needs: frozenset[Statistic], part: Sequence[Handle]) -> Round[Answer]:
        """Read some guests; those that are known to hang are left out."""
        found: Round[Answer] = Round(hung=hanging(part, connection.busy) if needs & MONITORED else {})
        domains: dict[str, Domain] = {}
        for handle in part:
            if handle.id not in found.hung:
                try:
                    domains[handle.id] = self._definitions.of(connection, handle)
                except HypervisorAway:
                    raise
                except PollError as exc:
                    found.answers[handle.id] = exc
        asked = [handle for handle in part if handle.id in domains]
        records = connection.figures(asked, needs, domains) if asked else {}
        for handle in asked:
            record = records.get(handle.id)
            if record is None or record.values.get("state.state") == SHUT_OFF:
                found.answers[handle.id] = InstanceGone("it went away during the poll")
            else:
                found.answers[handle.id] = self._guest(connection, handle, domains[handle.id], record)
        return found

    def _guest(self, connection: Connection, handle: Handle, domain: Domain, record: Record) -> Guest:
        """The guest with its newest definition: an unknown device shows that the one we know is old."""
        if unknown_devices(record, domain.disks, domain.nics):
            self._definitions.forget([handle.id])
            domain = self._definitions.of(connection, handle)
        return Guest(domain, record, handle.run)

    def _without_monitors(
        self, silent: Sequence[Handle], needs: frozenset[Statistic], hung: Mapping[str, float], until: float
    ) -> dict[str, Answer]:
        """What libvirt tells of guests that were not read, and why the rest is missing."""
        if not silent:
            return {}
        try:
            connection = self._usable(until)
            return within(
                until - time.monotonic(), partial(self._look_only, connection, silent, needs, hung), "libvirt"
            )
        except HypervisorAway as exc:
            self._leave()
            log.warning("nothing is known of %d guests: %s", len(silent), exc)
            return {}

    def _look_only(
        self,
        connection: Connection,
        silent: Sequence[Handle],
        needs: frozenset[Statistic],
        hung: Mapping[str, float],
    ) -> dict[str, Answer]:
        wanted = {handle.id for handle in silent}
        handles = [handle for handle in connection.running() if handle.id in wanted]
        records = connection.prompt_figures(handles, needs) if handles else {}
        answers: dict[str, Answer] = {}
        for handle in handles:
            if handle.id in records:
                seconds = hung.get(handle.id)
                why = f"its monitor has not answered for {seconds:.0f} s" if seconds else "there was no time to ask it"
                record = replace(records[handle.id], faults=dict.fromkeys(needs & MONITORED, why))
                answers[handle.id] = Guest(self._definitions.of(connection, handle), record, handle.run)
        return answers

    def _at_rest(self, stopped: Sequence[Handle], needs: frozenset[Statistic], until: float) -> dict[str, Answer]:
        """The guests that are off, each asked for its disks, which may lie on storage that does not answer."""
        if not stopped:
            return {}
        if self._resting is not None and not self._resting.wait(0):
            return dict.fromkeys((handle.id for handle in stopped), PollError("the disks of a guest do not answer"))
        answers: dict[str, Answer] = {}
        try:
            self._resting = Attempt(partial(self._look_at_rest, stopped, needs, answers))
            if not self._resting.wait(until - time.monotonic()):
                raise HypervisorAway("the disks of a guest do not answer")
            self._resting.result()
        except HypervisorAway as exc:
            return dict.fromkeys((handle.id for handle in stopped), PollError(str(exc))) | answers
        return answers

    def _look_at_rest(self, stopped: Sequence[Handle], needs: frozenset[Statistic], answers: dict[str, Answer]) -> None:
        wanted = {handle.id for handle in stopped}
        with self._lanes.one() as connection:
            for handle in (handle for handle in connection.stopped() if handle.id in wanted):
                try:
                    domain = self._definitions.of(connection, handle)
                    if record := connection.stopped_figures(handle, needs, domain):
                        answers[handle.id] = Guest(domain, record, handle.run)
                except HypervisorAway:
                    raise
                except PollError as exc:
                    answers[handle.id] = exc

    def _errors(self, total: Round[Answer], silent: Sequence[Handle]) -> dict[str, int]:
        """What went wrong with whole guests; a guest that went away is no error."""
        errors: Tally[str] = Tally()
        for identity, answer in total.answers.items():
            if isinstance(answer, PollError) and not isinstance(answer, InstanceGone):
                errors["unreadable guests"] += 1
                log.warning("no reading of guest %s: %s", identity, answer)
        for handle in silent:
            errors["hung guests" if handle.id in total.hung else "guests not asked"] += 1
        for identity, seconds in total.hung.items():
            log.warning("guest %s hangs: its monitor has not answered for %.1f s", identity, seconds)
        if total.lost is not None:
            errors["hypervisor"] += 1
            log.warning("libvirt went away during the poll: %s", total.lost)
        return dict(errors)

    def _usable(self, until: float) -> Connection:
        """The open connection, or a new one. A daemon that is frozen is waited for by one thread only."""
        if self._connection is not None and not self._connection.alive():
            self._leave()
        if self._connection is None:
            opening = self._opening = self._opening or Attempt(self._open)
            if not opening.wait(until - time.monotonic()):
                raise HypervisorAway("libvirt does not answer")
            self._opening = None
            self._connection = opening.result()
            self._definitions.forget_all()  # nobody told of changes in the meantime
        self._definitions.forget(self._connection.changed())
        return self._connection

    def _open(self) -> Connection:
        connection = self._connect()
        connection.listen()
        return connection

    def _leave(self) -> None:
        """Use this connection no more. Closing may block as any call may, and so is left to a thread."""
        if self._connection is not None:
            Attempt(self._connection.close)
            self._connection = None


def _guests(total: Round[Answer]) -> dict[str, Guest]:
    return {identity: answer for identity, answer in total.answers.items() if isinstance(answer, Guest)}
