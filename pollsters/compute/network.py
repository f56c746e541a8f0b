"""What went through each network interface of each instance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.compute.hypervisor import VNIC, Hypervisor, Instance, NICStats, Statistic

IN_BYTES = Meter("network.incoming.bytes", Kind.CUMULATIVE, "B")
IN_PACKETS = Meter("network.incoming.packets", Kind.CUMULATIVE, "packet")
IN_ERRORS = Meter("network.incoming.packets.error", Kind.CUMULATIVE, "packet")
IN_DROPS = Meter("network.incoming.packets.drop", Kind.CUMULATIVE, "packet")
OUT_BYTES = Meter("network.outgoing.bytes", Kind.CUMULATIVE, "B")
OUT_PACKETS = Meter("network.outgoing.packets", Kind.CUMULATIVE, "packet")
OUT_ERRORS = Meter("network.outgoing.packets.error", Kind.CUMULATIVE, "packet")
OUT_DROPS = Meter("network.outgoing.packets.drop", Kind.CUMULATIVE, "packet")


class NetworkPollster:
    """One resource per interface; incoming and outgoing as the guest sees them."""

    meters = (IN_BYTES, IN_PACKETS, IN_ERRORS, IN_DROPS, OUT_BYTES, OUT_PACKETS, OUT_ERRORS, OUT_DROPS)
    needs = frozenset({Statistic.NICS})

    def poll(self, instance: Instance, hypervisor: Hypervisor) -> Iterator[Counter]:
        for nic in hypervisor.nics(instance):
            metadata = instance.about(**describe(nic.vnic))
            for meter, volume in figures(nic):
                if volume is not None:
                    yield meter.read(
                        volume,
                        resource_id=resource_id(instance, nic.vnic),
                        project_id=instance.project_id,
                        user_id=instance.user_id,
                        resource_metadata=metadata,
                    )


def resource_id(instance: Instance, vnic: VNIC) -> str:
    """The name of the filter on the interface, which nova makes unique, else a name made from all three names."""
    return vnic.fref or f"{instance.name}-{instance.id}-{vnic.name}"


def describe(vnic: VNIC) -> dict[str, Any]:
    """What samples of an interface carry beside their instance's metadata; ``name`` is the interface's."""
    return {
        "name": vnic.name,
        "mac": vnic.mac,
        "fref": vnic.fref,
        "parameters": dict(vnic.parameters),
        "interfaceid": vnic.interfaceid,
        "bridge": vnic.bridge,
        "vnic_name": vnic.fref or vnic.name,
    }


def figures(nic: NICStats) -> tuple[tuple[Meter, int | None], ...]:
    """Each meter with its volume, None where the hypervisor does not offer it."""
    return (
        (IN_BYTES, nic.rx_bytes),
        (IN_PACKETS, nic.rx_packets),
        (IN_ERRORS, nic.rx_errors),
        (IN_DROPS, nic.rx_drops),
        (OUT_BYTES, nic.tx_bytes),
        (OUT_PACKETS, nic.tx_packets),
        (OUT_ERRORS, nic.tx_errors),
        (OUT_DROPS, nic.tx_drops),
    )
