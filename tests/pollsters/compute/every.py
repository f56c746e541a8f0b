"""Every pollster of ours that asks the hypervisor, by the name of its entry point."""

from __future__ import annotations

from pollsters import runner
from pollsters.compute.cpu import CPUPollster
from pollsters.compute.disk import DiskPollster
from pollsters.compute.disk_space import DiskSpacePollster, TotalSpacePollster
from pollsters.compute.disk_totals import DiskTotalsPollster
from pollsters.compute.instance import FlavorPollster, InstancePollster
from pollsters.compute.memory import MemoryPollster
from pollsters.compute.network import NetworkPollster
from pollsters.compute.network_growth import NetworkGrowthPollster
from pollsters.compute.perf import PerfPollster
from pollsters.compute.power import PowerPollster
from pollsters.compute.vcpus import VCPUsPollster

POLLSTERS: dict[str, runner.ComputePollster] = {
    "cpu": CPUPollster(),
    "disk": DiskPollster(),
    "disk-space": DiskSpacePollster(),
    "disk-totals": DiskTotalsPollster(),
    "disk-total-space": TotalSpacePollster(),
    "instance": InstancePollster(),
    "instance-flavor": FlavorPollster(),
    "memory": MemoryPollster(),
    "network": NetworkPollster(),
    "network-growth": NetworkGrowthPollster(),
    "perf": PerfPollster(),
    "power": PowerPollster(),
    "vcpus": VCPUsPollster(),
}
