"""What was read of a host: a `Hypervisor` that answers from memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from metering.errors import InstanceGone
from pollsters.compute import libvirt_records
from pollsters.compute.hypervisor import CPUStats, DiskStats, Instance, MemoryStats, NICStats
from pollsters.compute.libvirt_records import Record
from pollsters.compute.libvirt_xml import Domain

SKIP = "skip"  # METERING_UNOWNED: leave out domains that nova did not make

# The state as nova names it, and the status that its API gives, by libvirt's number.
_STATES = {
    0: ("pending", "building"),
    1: ("running", "active"),
    2: ("running", "active"),
    3: ("paused", "paused"),
    4: ("shutdown", "stopped"),
    5: ("shutdown", "stopped"),
    6: ("crashed", "error"),
    7: ("suspended", "suspended"),
}


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest that was read: what it is, and its figures."""

    domain: Domain
    record: Record


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one host."""

    read_at: datetime
    guests: Mapping[str, Guest]  # by instance id
    unowned: str | None = None  # None, `SKIP`, or the project that gets what is nobody's
    errors: Mapping[str, int] = field(default_factory=dict)

    def instances(self) -> Sequence[Instance]:
        """The guests that are to be metered."""
        return [
            self._instance(guest)
            for guest in self.guests.values()
            if guest.domain.project_id is not None or self.unowned != SKIP
        ]

    def cpu(self, instance: Instance) -> CPUStats:
        return libvirt_records.cpu(self._guest(instance).record)

    def vcpus(self, instance: Instance) -> int:
        return libvirt_records.vcpus(self._guest(instance).record)

    def memory(self, instance: Instance) -> MemoryStats:
        return libvirt_records.memory(self._guest(instance).record)

    def disks(self, instance: Instance) -> Iterable[DiskStats]:
        guest = self._guest(instance)
        return libvirt_records.disks(guest.record, guest.domain.disks)

    def nics(self, instance: Instance) -> Iterable[NICStats]:
        guest = self._guest(instance)
        return libvirt_records.nics(guest.record, guest.domain.nics)

    def power_state(self, instance: Instance) -> int:
        return libvirt_records.power_state(self._guest(instance).record)

    def _guest(self, instance: Instance) -> Guest:
        try:
            return self.guests[instance.id]
        except KeyError:
            raise InstanceGone(f"no instance {instance.id} runs here") from None

    def _instance(self, guest: Guest) -> Instance:
        domain = guest.domain
        state, status = _STATES.get(guest.record.number("state.state") or 0, _STATES[0])
        metadata = {**domain.metadata, "state": state, "status": status}
        return Instance(domain.id, domain.name, domain.project_id or self.unowned, domain.user_id, metadata)
