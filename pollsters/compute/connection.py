"""What we ask of libvirt. `libvirt_host` is the one that asks it; tests have others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pollsters.compute.hypervisor import Statistic
from pollsters.compute.libvirt_records import Record
from pollsters.compute.libvirt_xml import Domain


@dataclass(frozen=True, slots=True)
class Handle:
    """A domain, as a connection knows it."""

    id: str
    run: int  # libvirt's number of this run of the domain: another one after each start; -1 when it is off
    domain: Any = None  # the library's own object


class Connection(Protocol):
    """One connection to a hypervisor, to be used by the process that opened it.

    Every call may raise `HypervisorAway`, after which the connection is of no more use, and blocks
    for as long as the daemon is frozen.
    """

    def alive(self) -> bool:
        """Whether the daemon is still there, as far as this process has heard."""

    def close(self) -> None: ...

    def running(self) -> Sequence[Handle]:
        """The domains that run now."""

    def stopped(self) -> Sequence[Handle]:
        """The domains that are defined and do not run."""

    def listen(self) -> None:
        """Have `changed` tell of changes from now on."""

    def changed(self) -> set[str]:
        """The ids of domains whose definitions may have changed since this was last asked. No call is made."""

    def busy(self, handle: Handle) -> float:
        """Seconds for which the domain's monitor has been occupied, 0 when it is free. The monitor is not asked."""

    def definition(self, handle: Handle) -> str:
        """The domain's XML, as it runs if it does. The monitor is not asked. Raises `InstanceGone`, `PollError`."""

    def figures(
        self, handles: Sequence[Handle], needs: frozenset[Statistic], domains: Mapping[str, Domain]
    ) -> dict[str, Record]:
        """What is needed of each domain, by its id; a domain that went away is left out.

        Blocks for as long as the monitor of one of these domains hangs.
        """

    def prompt_figures(self, handles: Sequence[Handle], needs: frozenset[Statistic]) -> dict[str, Record]:
        """What is known of these domains without asking their monitors."""

    def stopped_figures(self, handle: Handle, needs: frozenset[Statistic], domain: Domain) -> Record | None:
        """What is known of a domain that is off: its state, size, and space on disk. None if it is no more."""
