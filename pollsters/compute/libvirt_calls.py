"""What libvirt is asked of one domain at a time: what its bulk statistics do not offer, or do not offer everywhere.

``ask`` makes a call on a domain and turns libvirt's errors into ours (see `libvirt_host`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from metering.errors import HypervisorAway, InstanceGone, PollError
from pollsters.compute.connection import Handle
from pollsters.compute.hypervisor import Statistic
from pollsters.compute.libvirt_records import Record
from pollsters.compute.libvirt_xml import Domain

Ask = Callable[..., Any]
SHUT_OFF = 5  # libvirt's number of that state
_BALLOON = {"actual": "current"}
_NET = ("rx.bytes", "rx.pkts", "rx.errs", "rx.drop", "tx.bytes", "tx.pkts", "tx.errs", "tx.drop")
_BLOCK = ("rd.reqs", "rd.bytes", "wr.reqs", "wr.bytes")
_SPACE = ("capacity", "allocation", "physical")


class NotOffered(PollError):
    """The driver has no such call."""


def call_by_call(ask: Ask, handle: Handle, needs: frozenset[Statistic], definition: Domain) -> Record | None:
    """Everything, of a driver that has no bulk statistics, under their names; None if the domain went."""
    domain, values, faults = handle.domain, dict[str, Any](), dict[Statistic, str]()
    try:
        state, _, memory, vcpus, used = ask(domain.info)
        values |= {"state.state": state, "vcpu.current": vcpus, "cpu.time": used, "balloon.current": memory}
        if Statistic.MEMORY in needs:
            with _noting(faults, Statistic.MEMORY):
                values |= {f"balloon.{_BALLOON.get(key, key)}": kib for key, kib in ask(domain.memoryStats).items()}
        if Statistic.DISKS in needs:
            for index, device in enumerate(definition.disks):
                with _noting(faults, Statistic.DISKS):
                    counts = ask(domain.blockStats, device)  # a fifth number counts errors, or is -1
                    values |= _named(f"block.{index}.", _BLOCK, counts[:4]) | {f"block.{index}.name": device}
            values["block.count"] = len(definition.disks)
        if Statistic.NICS in needs:
            for index, vnic in enumerate(definition.nics):
                with _noting(faults, Statistic.NICS):
                    values |= _named(f"net.{index}.", _NET, ask(domain.interfaceStats, vnic.name))
                    values[f"net.{index}.name"] = vnic.name
            values["net.count"] = len(definition.nics)
    except InstanceGone:
        return None
    return Record(values, faults)


def at_rest(ask: Ask, handle: Handle, needs: frozenset[Statistic], definition: Domain) -> Record | None:
    """What there is of a domain that is off. None if it is gone, or was started meanwhile."""
    try:
        # The time of its CPUs would be the daemon's own.
        state, memory, _, vcpus, _ = ask(handle.domain.info)
    except InstanceGone:
        return None
    if state != SHUT_OFF:
        return None
    record = Record({"state.state": state, "vcpu.current": vcpus, "balloon.current": memory})
    return with_space(ask, handle, record, definition) if Statistic.SPACE in needs else record


def with_space(ask: Ask, handle: Handle, record: Record, definition: Domain) -> Record | None:
    """The same, with the space that each disk takes; None if the domain went.

    Bulk statistics have other figures under the same names: how far a guest has written since it started.
    """
    values, faults = dict(record.values), dict(record.faults)
    for device in definition.disks:
        try:
            with _noting(faults, Statistic.SPACE):
                values |= _named(f"space.{device}.", _SPACE, ask(handle.domain.blockInfo, device))
        except InstanceGone:
            return None
    return Record(values, faults)


def _named(prefix: str, names: tuple[str, ...], figures: Any) -> dict[str, Any]:
    return {prefix + name: figure for name, figure in zip(names, figures, strict=True)}


@contextlib.contextmanager
def _noting(faults: dict[Statistic, str], statistic: Statistic) -> Iterator[None]:
    """Keep why a statistic could not be read; what the driver does not offer at all is no fault."""
    try:
        yield
    except (InstanceGone, HypervisorAway):
        raise
    except NotOffered:
        return
    except PollError as exc:
        faults[statistic] = str(exc)
