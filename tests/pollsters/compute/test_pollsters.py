from __future__ import annotations

from typing import Any

from metering.counters import Counter, Kind
from pollsters import runner
from pollsters.compute.disk import DiskPollster
from pollsters.compute.hypervisor import VNIC, DiskStats, Instance, MemoryStats, NICStats
from pollsters.compute.memory import MemoryPollster
from pollsters.compute.network import NetworkPollster
from pollsters.compute.power import PowerPollster
from pollsters.compute.vcpus import VCPUsPollster
from tests.fakes import READ_AT, FakeGuest, FakeHypervisor

WEB = Instance("i-1", "instance-00000001", "p-1", "u-1", {"display_name": "web", "name": "instance-00000001"})


def poll(pollster: Any, guest: FakeGuest) -> dict[str, Counter]:
    done = runner.poll_compute(FakeHypervisor([(WEB, guest)]), {"it": pollster}, lambda meter: True, 1, "o", READ_AT)
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

    assert volumes(counters) == {"memory": 512, "memory.usage": 250, "memory.resident": 303}
    assert {(c.type, c.unit, c.resource_id) for c in counters.values()} == {(Kind.GAUGE, "MiB", "i-1")}


def test_memory_usage_of_a_guest_that_tells_no_usable_memory_counts_its_caches() -> None:
    stats = MemoryStats(available=500_000, unused=244_000)

    assert volumes(poll(MemoryPollster(), FakeGuest(memory=stats))) == {"memory.usage": 250}


def test_a_guest_without_a_balloon_driver_gives_no_memory_usage_and_no_error() -> None:
    stats = MemoryStats(actual=16_384, resident=43_008)

    assert volumes(poll(MemoryPollster(), FakeGuest(memory=stats))) == {"memory": 16, "memory.resident": 42}


def test_memory_usage_is_never_negative() -> None:
    stats = MemoryStats(available=1_000, usable=2_000)

    assert poll(MemoryPollster(), FakeGuest(memory=stats)) == {}


def test_each_disk_is_a_resource_of_its_own() -> None:
    vda = DiskStats("vda", 10, 1, 20, 2, capacity=1_000, allocation=300, physical=400)
    vdb = DiskStats("vdb", 30, 3, 40, 4, capacity=2_000, allocation=500, physical=600)
    host = FakeHypervisor([(WEB, FakeGuest(disks=(vda, vdb)))])

    counters = runner.poll_compute(host, {"disk": DiskPollster()}, lambda meter: True, 1, "o", READ_AT).counters

    assert {c.resource_id for c in counters} == {"i-1-vda", "i-1-vdb"}
    of_vdb = {c.name: c for c in counters if c.resource_id == "i-1-vdb"}
    assert volumes(of_vdb) == {
        "disk.device.read.bytes": 30,
        "disk.device.read.requests": 3,
        "disk.device.write.bytes": 40,
        "disk.device.write.requests": 4,
        "disk.device.capacity": 2_000,
        "disk.device.allocation": 500,
        "disk.device.usage": 600,
    }
    assert {(c.name.rpartition(".")[2], c.type, c.unit) for c in of_vdb.values()} == {
        ("bytes", Kind.CUMULATIVE, "B"),
        ("requests", Kind.CUMULATIVE, "request"),
        ("capacity", Kind.GAUGE, "B"),
        ("allocation", Kind.GAUGE, "B"),
        ("usage", Kind.GAUGE, "B"),
    }
    assert of_vdb["disk.device.usage"].resource_metadata == {**WEB.metadata, "disk_name": "vdb"}


def test_the_capacity_of_a_cdrom_is_what_it_takes_on_the_host() -> None:
    cdrom = DiskStats("sda", capacity=0, allocation=4_096, physical=4_096)

    assert poll(DiskPollster(), FakeGuest(disks=(cdrom,)))["disk.device.capacity"].volume == 4_096


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
