"""Bytes that went through each interface since the last poll, for bills that are sums."""

from __future__ import annotations

from collections.abc import Iterator

from metering.counters import Counter, Kind, Meter
from pollsters.compute.hypervisor import Hypervisor, Instance, Statistic
from pollsters.compute.network import describe, resource_id

IN_DELTA = Meter("network.incoming.bytes.delta", Kind.DELTA, "B")
OUT_DELTA = Meter("network.outgoing.bytes.delta", Kind.DELTA, "B")


class NetworkGrowthPollster:
    """Counted for each instance and interface apart: a host's interface names come again with other instances."""

    meters = (IN_DELTA, OUT_DELTA)
    needs = frozenset({Statistic.NICS})

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        for nic in hypervisor.nics(instance):
            metadata = instance.about(**describe(nic.vnic))
            for meter, count in ((IN_DELTA, nic.rx_bytes), (OUT_DELTA, nic.tx_bytes)):
                if count is not None:
                    yield meter.read(
                        hypervisor.growth(instance, f"{meter.name} {nic.vnic.name} {nic.vnic.mac}", count),
                        resource_id=resource_id(instance, nic.vnic),
                        project_id=instance.project_id,
                        user_id=instance.user_id,
                        resource_metadata=metadata,
                    )
