"""Whether each instance runs, is paused, crashed ..."""

from __future__ import annotations

from collections.abc import Iterator

from metering.counters import Counter, Kind, Meter
from pollsters.compute.hypervisor import Hypervisor, Instance, Statistic

POWER_STATE = Meter("power.state", Kind.GAUGE, "")


class PowerPollster:
    """Report the hypervisor's own number for the guest's state (see `Hypervisor.power_state`)."""

    meters = (POWER_STATE,)
    needs = frozenset({Statistic.STATE})
    of_stopped = True

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        yield POWER_STATE.read(
            hypervisor.power_state(instance),
            resource_id=instance.id,
            project_id=instance.project_id,
            user_id=instance.user_id,
            resource_metadata=instance.metadata,
        )
