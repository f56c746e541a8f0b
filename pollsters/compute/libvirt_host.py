"""Libvirt itself: the connection and every call that we make. No other file imports libvirt.

Libvirt's errors become ours here: `HypervisorAway` when the connection is lost (it never recovers; a
new one has to be opened), `InstanceGone` for a domain that is no more, else `PollError`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import libvirt

from metering.errors import HypervisorAway, InstanceGone, PollError
from pollsters.compute import libvirt_calls
from pollsters.compute.changes import Changes
from pollsters.compute.connection import Handle
from pollsters.compute.hypervisor import Statistic
from pollsters.compute.libvirt_calls import NotOffered
from pollsters.compute.libvirt_records import Record
from pollsters.compute.libvirt_xml import Domain

KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 3  # a daemon that is silent for 20 s is gone
GROUPS = {
    Statistic.STATE: libvirt.VIR_DOMAIN_STATS_STATE,
    Statistic.CPU: libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_VCPU,
    Statistic.MEMORY: libvirt.VIR_DOMAIN_STATS_BALLOON,
    Statistic.DISKS: libvirt.VIR_DOMAIN_STATS_BLOCK,
    Statistic.NICS: libvirt.VIR_DOMAIN_STATS_INTERFACE,
    Statistic.PERF: libvirt.VIR_DOMAIN_STATS_PERF,
}
# After which a domain's definition may say something else.
EVENTS = (
    libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
    libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE,
)
# What libvirt tells without asking the guest's monitor.
PROMPT = frozenset({Statistic.STATE, Statistic.NICS, Statistic.PERF})
_EVERY_DRIVER = ("state.", "iothread.")  # bulk statistics of drivers that offer no others

T = TypeVar("T")
_loop_of: list[int] = []  # the process that runs libvirt's event loop; a fork does not inherit its thread


class Connection:
    """One read-only connection; `connection.Connection` says what each call means, and which may block."""

    def __init__(self, uri: str) -> None:
        """Raises `HypervisorAway`; blocks for as long as a frozen daemon does."""
        _run_event_loop()
        try:
            self._connection: Any = libvirt.openReadOnly(uri)
        except libvirt.libvirtError as exc:
            raise HypervisorAway(f"libvirt at {uri} cannot be reached: {_said(exc)}") from exc
        self._bulk = True  # until this driver proves to have none
        with contextlib.suppress(libvirt.libvirtError):  # drivers without a daemon need none
            self._connection.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
        self._changes = Changes()
        self._told_by: list[int] = []  # numbers of the events that are listened to

    def alive(self) -> bool:
        try:
            return bool(self._connection.isAlive())
        except libvirt.libvirtError:
            return False

    def close(self) -> None:
        """Let go of the connection, which ends with the last call that is still in it.

        Not by libvirt's own close: that would free what a blocked call in another thread still uses. A second time
        changes nothing.
        """
        while self._told_by:  # an event that is still wanted keeps the connection open for ever
            number = self._told_by.pop()
            with contextlib.suppress(libvirt.libvirtError):
                self._connection.domainEventDeregisterAny(number)
        self._connection = None

    def running(self) -> list[Handle]:
        return self._list(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)

    def stopped(self) -> list[Handle]:
        return self._list(libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE)

    def _list(self, which: int) -> list[Handle]:
        domains = _ask(self._connection.listAllDomains, which)
        return [Handle(domain.UUIDString(), domain.ID(), domain) for domain in domains]

    def listen(self) -> None:
        for event in EVENTS:
            with contextlib.suppress(libvirt.libvirtError):  # a driver may know some of them, or none
                self._told_by.append(self._connection.domainEventRegisterAny(None, event, self._changes, None))

    def changed(self) -> set[str]:
        return self._changes.take()

    def busy(self, handle: Handle) -> float:
        try:
            state, _, milliseconds = handle.domain.controlInfo()
        except libvirt.libvirtError as exc:
            if _lost(exc):
                raise HypervisorAway(_said(exc)) from exc
            return 0.0  # gone, or a driver without monitors
        return milliseconds / 1000 if state == libvirt.VIR_DOMAIN_CONTROL_OCCUPIED else 0.0

    def definition(self, handle: Handle) -> str:
        xml: str = _ask(handle.domain.XMLDesc)
        return xml

    def figures(
        self, handles: Sequence[Handle], needs: frozenset[Statistic], domains: Mapping[str, Domain]
    ) -> dict[str, Record]:
        found = self._in_bulk_if_offered(handles, needs) if self._bulk else None
        if found is None:
            told = ((handle, libvirt_calls.call_by_call(_ask, handle, needs, domains[handle.id])) for handle in handles)
            found = {handle.id: record for handle, record in told if record}
        if Statistic.SPACE in needs:
            return self._with_space(handles, found, domains)
        return found

    def _with_space(
        self, handles: Sequence[Handle], found: Mapping[str, Record], domains: Mapping[str, Domain]
    ) -> dict[str, Record]:
        told = (
            (handle.id, libvirt_calls.with_space(_ask, handle, found[handle.id], domains[handle.id]))
            for handle in handles
            if handle.id in found
        )
        return {identity: record for identity, record in told if record}

    def _in_bulk_if_offered(self, handles: Sequence[Handle], needs: frozenset[Statistic]) -> dict[str, Record] | None:
        """None when this driver proves to have no bulk statistics, or none but the state's."""
        try:
            found = self._in_bulk(handles, needs)
        except HypervisorAway:
            raise
        except NotOffered:
            self._bulk = False
            return None
        except PollError as exc:
            return self._apart(handles, needs, exc)
        asked_more = needs - {Statistic.STATE, Statistic.SPACE}
        self._bulk = not (asked_more and found) or any(_offers_more(record) for record in found.values())
        return found if self._bulk else None

    def prompt_figures(self, handles: Sequence[Handle], needs: frozenset[Statistic]) -> dict[str, Record]:
        found = self._in_bulk(handles, needs & PROMPT)
        for handle in handles:
            if handle.id in found:
                with contextlib.suppress(PollError):
                    state, _, memory, vcpus, _ = _ask(handle.domain.info)
                    known = {"state.state": state, "vcpu.current": vcpus, "balloon.current": memory}
                    found[handle.id] = Record({**known, **found[handle.id].values})
        return found

    def stopped_figures(self, handle: Handle, needs: frozenset[Statistic], domain: Domain) -> Record | None:
        return libvirt_calls.at_rest(_ask, handle, needs, domain)

    def _in_bulk(self, handles: Sequence[Handle], needs: frozenset[Statistic]) -> dict[str, Record]:
        groups = GROUPS[Statistic.STATE]
        for statistic in needs:
            groups |= GROUPS.get(statistic, 0)
        answers = _ask(self._connection.domainListGetStats, [handle.domain for handle in handles], groups)
        return {domain.UUIDString(): Record(values) for domain, values in answers}

    def _apart(self, handles: Sequence[Handle], needs: frozenset[Statistic], why: PollError) -> dict[str, Record]:
        """One domain at a time, after a call for all of them failed."""
        if len(handles) == 1:
            return {handles[0].id: Record({}, dict.fromkeys(Statistic, str(why)))}
        found: dict[str, Record] = {}
        for handle in handles:
            try:
                found |= self._in_bulk([handle], needs)
            except HypervisorAway:
                raise
            except PollError as exc:
                found |= self._apart([handle], needs, exc)
        return found


def _offers_more(record: Record) -> bool:
    return any(not name.startswith(_EVERY_DRIVER) for name in record.values)


def _ask(call: Callable[..., T], *arguments: Any) -> T:
    """The answer to one call, or one of our errors."""
    try:
        return call(*arguments)
    except libvirt.libvirtError as exc:
        if _lost(exc):
            raise HypervisorAway(f"the connection to libvirt is lost: {_said(exc)}") from exc
        if exc.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise InstanceGone(_said(exc)) from exc
        if exc.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            raise NotOffered(_said(exc)) from exc
        raise PollError(_said(exc)) from exc


def _lost(exc: libvirt.libvirtError) -> bool:
    return exc.get_error_domain() in (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)


def _said(exc: libvirt.libvirtError) -> str:
    return str(exc.get_error_message() or exc)


def _run_event_loop() -> None:
    """Start libvirt's event loop in this process: without it, no keepalive, and no word of a daemon that died."""
    if _loop_of == [os.getpid()]:
        return
    libvirt.registerErrorHandler(lambda context, error: None, None)  # else each error is printed as well
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_turn_events, name="libvirt-events", daemon=True).start()
    _loop_of[:] = [os.getpid()]


def _turn_events() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            time.sleep(1)  # whatever it is, it must not take a whole core
