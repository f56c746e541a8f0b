"""Libvirt itself: the connection and every call that we make. No other file imports libvirt.

Libvirt's errors become ours here: `HypervisorAway` when the connection is lost (it never recovers; a
new one has to be opened), `InstanceGone` for a domain that is no more, else `PollError`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import libvirt

from metering.errors import HypervisorAway, InstanceGone, PollError
from pollsters.compute.connection import Handle
from pollsters.compute.hypervisor import Statistic
from pollsters.compute.libvirt_records import Record
from pollsters.compute.libvirt_xml import Domain

KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 3  # a daemon that is silent for 20 s is gone
GROUPS = {
    Statistic.STATE: libvirt.VIR_DOMAIN_STATS_STATE,
    Statistic.CPU: libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_VCPU,
    Statistic.MEMORY: libvirt.VIR_DOMAIN_STATS_BALLOON,
    Statistic.DISKS: libvirt.VIR_DOMAIN_STATS_BLOCK,
    Statistic.NICS: libvirt.VIR_DOMAIN_STATS_INTERFACE,
}
PROMPT = frozenset({Statistic.STATE, Statistic.NICS})  # what libvirt tells without asking the guest's monitor
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

    def alive(self) -> bool:
        try:
            return bool(self._connection.isAlive())
        except libvirt.libvirtError:
            return False

    def close(self) -> None:
        """Let go of the connection, which ends with the last call that is still in it.

        Not by libvirt's own close: that would free what a blocked call in another thread still uses.
        """
        self._connection = None

    def running(self) -> list[Handle]:
        domains = _ask(self._connection.listAllDomains, libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        return [Handle(domain.UUIDString(), domain.ID(), domain) for domain in domains]

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
        if self._bulk:
            try:
                found = self._in_bulk(handles, needs)
            except HypervisorAway:
                raise
            except _NotOffered:
                self._bulk = False
            except PollError as exc:
                return self._apart(handles, needs, exc)
            else:
                if needs <= {Statistic.STATE} or not found or any(_offers_more(record) for record in found.values()):
                    return found
                self._bulk = False
        return {handle.id: record for handle in handles if (record := _call_by_call(handle, needs, domains[handle.id]))}

    def prompt_figures(self, handles: Sequence[Handle], needs: frozenset[Statistic]) -> dict[str, Record]:
        found = self._in_bulk(handles, needs & PROMPT)
        for handle in handles:
            if handle.id in found:
                with contextlib.suppress(PollError):
                    state, _, memory, vcpus, _ = _ask(handle.domain.info)
                    known = {"state.state": state, "vcpu.current": vcpus, "balloon.current": memory}
                    found[handle.id] = Record({**known, **found[handle.id].values})
        return found

    def _in_bulk(self, handles: Sequence[Handle], needs: frozenset[Statistic]) -> dict[str, Record]:
        groups = GROUPS[Statistic.STATE]
        for statistic in needs:
            groups |= GROUPS[statistic]
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


def _call_by_call(handle: Handle, needs: frozenset[Statistic], definition: Domain) -> Record | None:
    """Ask a driver that has no bulk statistics, and put its answers under their names; None if the domain went."""
    domain, values, faults = handle.domain, dict[str, Any](), dict[Statistic, str]()
    try:
        state, _, memory, vcpus, used = _ask(domain.info)
        values |= {"state.state": state, "vcpu.current": vcpus, "cpu.time": used, "balloon.current": memory}
        if Statistic.MEMORY in needs:
            with _noting(faults, Statistic.MEMORY):
                values |= {f"balloon.{_BALLOON.get(key, key)}": kib for key, kib in _ask(domain.memoryStats).items()}
        if Statistic.DISKS in needs:
            for index, device in enumerate(definition.disks):
                with _noting(faults, Statistic.DISKS):
                    values |= _disk_values(domain, device, f"block.{index}.")
            values["block.count"] = len(definition.disks)
        if Statistic.NICS in needs:
            for index, vnic in enumerate(definition.nics):
                with _noting(faults, Statistic.NICS):
                    figures = _ask(domain.interfaceStats, vnic.name)
                    values |= {f"net.{index}.{name}": value for name, value in zip(_NET, figures, strict=True)}
                    values[f"net.{index}.name"] = vnic.name
            values["net.count"] = len(definition.nics)
    except InstanceGone:
        return None
    return Record(values, faults)


_BALLOON = {"actual": "current"}
_NET = ("rx.bytes", "rx.pkts", "rx.errs", "rx.drop", "tx.bytes", "tx.pkts", "tx.errs", "tx.drop")
_BLOCK = ("rd.reqs", "rd.bytes", "wr.reqs", "wr.bytes")
_SPACE = ("capacity", "allocation", "physical")


def _disk_values(domain: Any, device: str, prefix: str) -> dict[str, Any]:
    counts = zip(_BLOCK, _ask(domain.blockStats, device), strict=False)  # a fifth number counts errors, or is -1
    space = zip(_SPACE, _ask(domain.blockInfo, device), strict=True)
    return {prefix + name: value for name, value in (*counts, *space)} | {prefix + "name": device}


@contextlib.contextmanager
def _noting(faults: dict[Statistic, str], statistic: Statistic) -> Iterator[None]:
    """Keep why a statistic could not be read; what the driver does not offer at all is no fault."""
    try:
        yield
    except (InstanceGone, HypervisorAway):
        raise
    except _NotOffered:
        return
    except PollError as exc:
        faults[statistic] = str(exc)


class _NotOffered(PollError):
    """The driver has no such call."""


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
            raise _NotOffered(_said(exc)) from exc
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
