from __future__ import annotations

from dataclasses import replace
from typing import Any

from metering.counters import Counter, Kind
from metering.sources import Source
from pollsters import runner
from pollsters.compute.disk import DiskPollster
from pollsters.compute.disk_space import DiskSpacePollster, TotalSpacePollster
from pollsters.compute.disk_totals import DiskTotalsPollster
from pollsters.compute.hypervisor import VNIC, DiskSpace, DiskStats, Instance, MemoryStats, NICStats, PerfStats
from pollsters.compute.instance import FlavorPollster, InstancePollster
from pollsters.compute.memory import MemoryPollster
from pollsters.compute.network import NetworkPollster
from pollsters.compute.network_growth import NetworkGrowthPollster
from pollsters.compute.perf import PerfPollster
from pollsters.compute.power import PowerPollster
from pollsters.compute.vcpus import VCPUsPollster
from tests.fakes import READ_AT, FakeGuest, FakeHypervisor
from tests.pollsters.compute.every import POLLSTERS

WEB = Instance("i-1", "instance-00000001", "p-1", "u-1", {"display_name": "web", "name": "instance-00000001"})


SMALL = replace(WEB, metadata={"instance_type": "m1.small", "root_gb": 20, "ephemeral_gb": 0})


def poll(pollster: Any, guest: FakeGuest, instance: Instance = WEB) -> dict[str, Counter]:
    done = runner.poll_compute(
        FakeHypervisor([(instance, guest)]), {"it": pollster}, lambda meter: True, 1, "o", READ_AT
    )
    assert done.errors == {}
    assert {counter.name for counter in done.counters} <= {meter.name for meter in pollster.meters}
    assert {(c.project_id, c.user_id) for c in done.counters} <= {("p-1", "u-1")}
    return {counter.name: counter for counter in done.counters}


def volumes(counters: dict[str, Counter]) -> dict[str, float]:
    return {name: counter.volume for name, counter in counters.items()}


def test_vcpus_counts_those_in_use() -> None:
    counter = poll(VCPUsPollster(), FakeGuest(vcpus=4))["vcpus"]

    assert (counter.volume, counter.type, counter.unit, counter.resource_id) == (4, Kind.GAUGE, "vcpu", "i-1")


def test_power_state_is_libvirts_number() -> None:
    counter = poll(PowerPollster(), FakeGuest(power_state=3))["power.state"]

    assert (counter.volume, counter.type, counter.unit, counter.resource_id) == (3, Kind.GAUGE, "", "i-1")


def test_memory_is_in_mebibytes() -> None:
    stats = MemoryStats(actual=524_288, available=500_000, unused=100_000, usable=244_000, resident=310_272)

    counters = poll(MemoryPollster(), FakeGuest(memory=stats))

    assert volumes(counters) == {
        "memory": 512,
        "memory.available": 500_000 / 1024,
        "memory.usage": 250,
        "memory.resident": 303,
    }
    assert {(c.type, c.unit, c.resource_id) for c in counters.values()} == {(Kind.GAUGE, "MiB", "i-1")}


def test_memory_usage_of_a_guest_that_tells_no_usable_memory_counts_its_caches() -> None:
    stats = MemoryStats(available=500_000, unused=244_000)

    assert volumes(poll(MemoryPollster(), FakeGuest(memory=stats)))["memory.usage"] == 250


def test_a_guest_without_a_balloon_driver_gives_no_memory_usage_and_no_error() -> None:
    stats = MemoryStats(actual=16_384, resident=43_008)

    assert volumes(poll(MemoryPollster(), FakeGuest(memory=stats))) == {"memory": 16, "memory.resident": 42}


def test_memory_usage_is_never_negative() -> None:
    stats = MemoryStats(available=1_000, usable=2_000)

    assert set(poll(MemoryPollster(), FakeGuest(memory=stats))) == {"memory.available"}


def test_swapping_counts_both_ways() -> None:
    stats = MemoryStats(swap_in=1_024, swap_out=512)

    counters = poll(MemoryPollster(), FakeGuest(memory=stats))

    assert volumes(counters) == {"memory.swap.in": 1, "memory.swap.out": 0.5}
    assert {(c.type, c.unit, c.resource_id) for c in counters.values()} == {(Kind.CUMULATIVE, "MiB", "i-1")}


def test_swapping_that_is_told_one_way_only_is_not_told() -> None:
    assert poll(MemoryPollster(), FakeGuest(memory=MemoryStats(swap_in=1_024))) == {}


def test_each_disk_is_a_resource_of_its_own() -> None:
    vda = DiskStats("vda", 10, 1, 20, 2, 7, 8)
    vdb = DiskStats("vdb", 30, 3, 40, 4, 70, 80)
    host = FakeHypervisor([(WEB, FakeGuest(disks=(vda, vdb)))])

    counters = runner.poll_compute(host, {"disk": DiskPollster()}, lambda meter: True, 1, "o", READ_AT).counters

    assert {c.resource_id for c in counters} == {"i-1-vda", "i-1-vdb"}
    of_vdb = {c.name: c for c in counters if c.resource_id == "i-1-vdb"}
    assert volumes(of_vdb) == {
        "disk.device.read.bytes": 30,
        "disk.device.read.requests": 3,
        "disk.device.write.bytes": 40,
        "disk.device.write.requests": 4,
        "disk.device.read.latency": 70,
        "disk.device.write.latency": 80,
    }
    assert {(c.name.rpartition(".")[2], c.type, c.unit) for c in of_vdb.values()} == {
        ("bytes", Kind.CUMULATIVE, "B"),
        ("requests", Kind.CUMULATIVE, "request"),
        ("latency", Kind.CUMULATIVE, "ns"),
    }
    assert of_vdb["disk.device.read.bytes"].resource_metadata == {**WEB.metadata, "disk_name": "vdb"}


def test_totals_are_sums_over_the_disks_of_an_instance() -> None:
    vda, cdrom = DiskStats("vda", 10, 1, 20, 2), DiskStats("sda", 30, 3, 0, 0)

    counters = poll(DiskTotalsPollster(), FakeGuest(disks=(vda, cdrom)))

    assert volumes(counters) == {
        "disk.read.bytes": 40,
        "disk.read.requests": 4,
        "disk.write.bytes": 20,
        "disk.write.requests": 2,
    }
    assert {(c.name.rpartition(".")[2], c.type, c.unit) for c in counters.values()} == {
        ("bytes", Kind.CUMULATIVE, "B"),
        ("requests", Kind.CUMULATIVE, "request"),
    }
    assert {c.resource_id for c in counters.values()} == {"i-1"}
    assert counters["disk.read.bytes"].resource_metadata == {**WEB.metadata, "device": ["vda", "sda"]}


def test_a_total_that_would_lack_a_disk_is_not_told() -> None:
    disks = (DiskStats("vda", read_bytes=10, write_bytes=20), DiskStats("vdb", write_bytes=30))
    space = (DiskSpace("vda", 1_000, 300, 400), DiskSpace("vdb", 2_000, None, 500))

    assert volumes(poll(DiskTotalsPollster(), FakeGuest(disks=disks))) == {"disk.write.bytes": 50}
    assert volumes(poll(TotalSpacePollster(), FakeGuest(space=space))) == {"disk.capacity": 3_000, "disk.usage": 900}


def test_the_space_of_each_disk_and_of_all_is_told_in_bytes() -> None:
    disks = FakeGuest(space=(DiskSpace("vda", 1_000, 300, 400), DiskSpace("vdb", 2_000, 500, 600)))
    host = FakeHypervisor([(WEB, disks)])
    both: dict[str, runner.ComputePollster] = {"space": DiskSpacePollster(), "total": TotalSpacePollster()}

    counters = runner.poll_compute(host, both, lambda meter: True, 1, "o", READ_AT).counters

    assert {(c.name, c.resource_id, c.volume) for c in counters} == {
        ("disk.device.capacity", "i-1-vda", 1_000),
        ("disk.device.capacity", "i-1-vdb", 2_000),
        ("disk.device.allocation", "i-1-vda", 300),
        ("disk.device.allocation", "i-1-vdb", 500),
        ("disk.device.usage", "i-1-vda", 400),
        ("disk.device.usage", "i-1-vdb", 600),
        ("disk.capacity", "i-1", 3_000),
        ("disk.allocation", "i-1", 800),
        ("disk.usage", "i-1", 1_000),
    }
    assert {(c.type, c.unit) for c in counters} == {(Kind.GAUGE, "B")}
    assert counters[0].resource_metadata == {**WEB.metadata, "disk_name": "vda"}
    assert counters[-1].resource_metadata == {**WEB.metadata, "device": ["vda", "vdb"]}


def test_an_instance_without_disks_has_no_totals() -> None:
    assert poll(DiskTotalsPollster(), FakeGuest()) == poll(TotalSpacePollster(), FakeGuest()) == {}


def test_an_instance_is_one_and_has_the_disk_of_its_flavor() -> None:
    counters = poll(InstancePollster(), FakeGuest(), SMALL)

    assert volumes(counters) == {"instance": 1, "disk.root.size": 20, "disk.ephemeral.size": 0}
    assert {(c.name, c.type, c.unit) for c in counters.values()} == {
        ("instance", Kind.GAUGE, "instance"),
        ("disk.root.size", Kind.GAUGE, "GiB"),
        ("disk.ephemeral.size", Kind.GAUGE, "GiB"),
    }


def test_an_instance_that_nova_did_not_make_is_one_and_has_no_flavor() -> None:
    assert volumes(poll(InstancePollster(), FakeGuest())) == {"instance": 1}
    assert poll(FlavorPollster(), FakeGuest()) == {}


def test_a_root_disk_is_never_smaller_than_nothing() -> None:
    odd = replace(SMALL, metadata={"root_gb": -10, "ephemeral_gb": 20})

    assert set(poll(InstancePollster(), FakeGuest(), odd)) == {"instance", "disk.ephemeral.size"}


def test_an_instance_is_also_counted_under_the_name_of_its_flavor() -> None:
    host = FakeHypervisor([(SMALL, FakeGuest())])
    source = Source("default", 60, ("instance:*",))

    [counter] = runner.poll_compute(host, {"it": FlavorPollster()}, source.wants, 1, "o", READ_AT).counters

    assert (counter.name, counter.volume, counter.unit) == ("instance:m1.small", 1, "instance")


def test_what_the_processor_counted_is_told_as_far_as_it_is_offered() -> None:
    counters = poll(PerfPollster(), FakeGuest(perf=PerfStats(1, 2, 3, 4, 5, 6, 7)))

    assert {(c.name, c.volume, c.type, c.unit) for c in counters.values()} == {
        ("perf.cpu.cycles", 1, Kind.GAUGE, "cycle"),
        ("perf.instructions", 2, Kind.GAUGE, "instruction"),
        ("perf.cache.references", 3, Kind.GAUGE, "count"),
        ("perf.cache.misses", 4, Kind.GAUGE, "count"),
        ("cpu_l3_cache", 5, Kind.GAUGE, "B"),
        ("memory.bandwidth.total", 6, Kind.GAUGE, "B/s"),
        ("memory.bandwidth.local", 7, Kind.GAUGE, "B/s"),
    }
    assert poll(PerfPollster(), FakeGuest()) == {}


def test_of_an_instance_that_is_off_only_its_state_its_size_and_the_space_of_its_disks_are_told() -> None:
    disk = DiskSpace("vda", capacity=1_000, allocation=300, physical=400)
    off = FakeGuest(power_state=5, vcpus=2, memory=MemoryStats(actual=2_048), space=(disk,))
    host = FakeHypervisor([(replace(SMALL, running=False), off)])

    done = runner.poll_compute(host, POLLSTERS, lambda meter: True, 1, "o", READ_AT)

    assert done.errors == {}
    assert {counter.name: counter.volume for counter in done.counters} == {
        "power.state": 5,
        "vcpus": 2,
        "memory": 2,
        "disk.device.capacity": 1_000,
        "disk.device.allocation": 300,
        "disk.device.usage": 400,
    }


def test_the_capacity_of_a_cdrom_is_what_it_takes_on_the_host() -> None:
    cdrom = DiskSpace("sda", capacity=0, allocation=4_096, physical=4_096)

    assert poll(DiskSpacePollster(), FakeGuest(space=(cdrom,)))["disk.device.capacity"].volume == 4_096


def test_what_a_disk_does_not_offer_is_left_out() -> None:
    assert set(poll(DiskPollster(), FakeGuest(disks=(DiskStats("vda", read_bytes=7),)))) == {"disk.device.read.bytes"}


def test_each_direction_of_an_interface_has_its_own_figures() -> None:
    nic = NICStats(VNIC("tap1", "fa:16:3e:00:00:01"), 1, 2, 3, 4, 5, 6, 7, 8)

    counters = poll(NetworkPollster(), FakeGuest(nics=(nic,)))

    assert volumes(counters) == {
        "network.incoming.bytes": 1,
        "network.incoming.packets": 2,
        "network.incoming.packets.error": 3,
        "network.incoming.packets.drop": 4,
        "network.outgoing.bytes": 5,
        "network.outgoing.packets": 6,
        "network.outgoing.packets.error": 7,
        "network.outgoing.packets.drop": 8,
    }
    assert {c.type for c in counters.values()} == {Kind.CUMULATIVE}
    assert {c.unit for name, c in counters.items() if not name.endswith("bytes")} == {"packet"}
    assert counters["network.incoming.bytes"].unit == "B"


def test_an_interface_without_a_filter_is_named_after_guest_and_device() -> None:
    nic = NICStats(VNIC("tap1", "fa:16:3e:00:00:01", bridge="br0"), rx_bytes=1)

    counter = poll(NetworkPollster(), FakeGuest(nics=(nic,)))["network.incoming.bytes"]

    assert counter.resource_id == "instance-00000001-i-1-tap1"
    assert counter.resource_metadata == {
        "display_name": "web",
        "name": "tap1",
        "mac": "fa:16:3e:00:00:01",
        "fref": None,
        "parameters": {},
        "interfaceid": None,
        "bridge": "br0",
        "vnic_name": "tap1",
    }


def test_an_interface_with_a_filter_is_named_after_the_filter() -> None:
    vnic = VNIC("tap1", "fa:16:3e:00:00:01", "nova-instance-1-fa163e000001", {"ip": "10.0.0.2"}, "port-1")

    counter = poll(NetworkPollster(), FakeGuest(nics=(NICStats(vnic, rx_bytes=1),)))["network.incoming.bytes"]

    assert counter.resource_id == "nova-instance-1-fa163e000001"
    assert counter.resource_metadata["vnic_name"] == "nova-instance-1-fa163e000001"
    assert counter.resource_metadata["parameters"] == {"ip": "10.0.0.2"}
    assert counter.resource_metadata["interfaceid"] == "port-1"


def test_what_went_through_an_interface_since_the_last_poll_is_told_apart_for_each() -> None:
    one = NICStats(VNIC("tap1", "fa:16:3e:00:00:01"), rx_bytes=100, tx_bytes=10)
    other = NICStats(VNIC("tap2", "fa:16:3e:00:00:02"), rx_bytes=50)
    before = {
        "network.incoming.bytes.delta tap1 fa:16:3e:00:00:01": 70,
        "network.incoming.bytes.delta tap2 fa:16:3e:00:00:02": 50,
    }
    host = FakeHypervisor([(WEB, FakeGuest(nics=(one, other), counted=before))])

    counters = runner.poll_compute(host, {"it": NetworkGrowthPollster()}, lambda m: True, 1, "o", READ_AT).counters

    assert {(c.name, c.resource_id, c.volume) for c in counters} == {
        ("network.incoming.bytes.delta", "instance-00000001-i-1-tap1", 30),
        ("network.outgoing.bytes.delta", "instance-00000001-i-1-tap1", 0),
        ("network.incoming.bytes.delta", "instance-00000001-i-1-tap2", 0),
    }
    assert {(c.type, c.unit) for c in counters} == {(Kind.DELTA, "B")}
    assert counters[0].resource_metadata["vnic_name"] == "tap1"
