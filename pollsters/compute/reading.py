"""What was read of a host: a `Hypervisor` that answers from memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from metering.counters import Metadata
from metering.environment import Environment
from metering.errors import InstanceGone
from metering.user_metadata import UserMetadata
from pollsters.compute import libvirt_records
from pollsters.compute.details import Detail
from pollsters.compute.growth import Growths
from pollsters.compute.hypervisor import CPUStats, DiskSpace, DiskStats, Instance, MemoryStats, NICStats, PerfStats
from pollsters.compute.libvirt_calls import SHUT_OFF
from pollsters.compute.libvirt_records import Record
from pollsters.compute.libvirt_xml import Domain

SKIP = "skip"  # METERING_UNOWNED: leave out domains that nova did not make

_NO_DETAIL = Detail()
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
    run: int = 0  # another number each time it was started


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator wants of a host."""

    unowned: str | None = None  # domains that nova did not make: None, `SKIP`, or the project that gets them
    report_stopped: bool = False  # also what there is of guests that are off
    user_metadata: UserMetadata = field(default_factory=UserMetadata)


def policy_of(settings: Environment) -> Policy:
    """What the settings say."""
    return Policy(settings.unowned, settings.report_stopped, settings.user_metadata)


class Roster:
    """The instances of a host, each the same object from reading to reading as long as nothing about it changes.

    So is their metadata, which then need not be written and digested anew for every poll.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Domain, Detail, int, Instance]] = {}

    def keep(self, identities: set[str]) -> None:
        """No other guest is here any more."""
        self._known = {identity: known for identity, known in self._known.items() if identity in identities}

    def instance(self, guest: Guest, policy: Policy, detail: Detail) -> Instance:
        """What samples say of a guest."""
        domain, number = guest.domain, guest.record.number("state.state") or 0
        known = self._known.get(domain.id)
        if known is None or known[0] is not domain or known[1] is not detail or known[2] != number:
            known = self._known[domain.id] = domain, detail, number, _instance(domain, policy, detail, number)
        return known[3]


def _instance(domain: Domain, policy: Policy, detail: Detail, number: int) -> Instance:
    state, status = _STATES.get(number, _STATES[0])
    metadata = Metadata({**domain.metadata, **detail.metadata, "state": state, "status": status})
    metadata["user_metadata"] = policy.user_metadata.of(detail.tags, taken=metadata)
    project = domain.project_id or policy.unowned
    return Instance(domain.id, domain.name, project, domain.user_id, metadata, running=number != SHUT_OFF)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one host."""

    read_at: datetime
    guests: Mapping[str, Guest]  # by instance id
    policy: Policy = field(default_factory=Policy)
    details: Mapping[str, Detail] = field(default_factory=dict)  # by instance id
    growths: Growths | None = None
    roster: Roster = field(default_factory=Roster)
    errors: Mapping[str, int] = field(default_factory=dict)

    def instances(self) -> Sequence[Instance]:
        """The guests that are to be metered."""
        return [
            self.roster.instance(guest, self.policy, self.details.get(guest.domain.id, _NO_DETAIL))
            for guest in self.guests.values()
            if guest.domain.project_id is not None or self.policy.unowned != SKIP
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

    def space(self, instance: Instance) -> Iterable[DiskSpace]:
        guest = self._guest(instance)
        return libvirt_records.space(guest.record, guest.domain.disks)

    def nics(self, instance: Instance) -> Iterable[NICStats]:
        guest = self._guest(instance)
        return libvirt_records.nics(guest.record, guest.domain.nics)

    def perf(self, instance: Instance) -> PerfStats:
        return libvirt_records.perf(self._guest(instance).record)

    def growth(self, instance: Instance, what: str, count: int) -> int:
        run, now = self._guest(instance).run, self.read_at.timestamp()
        return 0 if self.growths is None else self.growths.growth(instance.id, run, now, what, count)

    def power_state(self, instance: Instance) -> int:
        return libvirt_records.power_state(self._guest(instance).record)

    def _guest(self, instance: Instance) -> Guest:
        try:
            return self.guests[instance.id]
        except KeyError:
            raise InstanceGone(f"no instance {instance.id} runs here") from None
