"""Against libvirt itself, by its test driver: no daemon, no QEMU, and no bulk statistics but the state."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from metering.errors import HypervisorAway
from pollsters import runner
from pollsters.compute import libvirt_host
from pollsters.compute.cpu import CPUPollster
from pollsters.compute.disk import DiskPollster
from pollsters.compute.host import ComputeHost
from pollsters.compute.hypervisor import EVERYTHING
from pollsters.compute.memory import MemoryPollster
from pollsters.compute.network import NetworkPollster
from pollsters.compute.power import PowerPollster
from pollsters.compute.vcpus import VCPUsPollster
from tests.pollsters.compute import domains
from tests.pollsters.compute.domains import UUIDS

POLLSTERS: dict[str, runner.ComputePollster] = {
    "cpu": CPUPollster(),
    "disk": DiskPollster(),
    "memory": MemoryPollster(),
    "network": NetworkPollster(),
    "power": PowerPollster(),
    "vcpus": VCPUsPollster(),
}
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def host_at(uri: str) -> ComputeHost:
    return ComputeHost(lambda: libvirt_host.Connection(uri), "node-1")


@pytest.fixture
def host(tmp_path: Path) -> ComputeHost:
    (tmp_path / "node.xml").write_text(domains.node())
    return host_at(f"test://{tmp_path}/node.xml")


def poll(host: ComputeHost) -> runner.Poll:
    return runner.poll_compute(host, POLLSTERS, lambda meter: True, 10, "o", NOW)


def test_the_default_domain_gives_every_meter() -> None:
    done = poll(host_at("test:///default"))

    assert done.errors == {}
    assert done.guests == 1
    assert {counter.name for counter in done.counters} == {
        meter.name for pollster in POLLSTERS.values() for meter in pollster.meters
    }
    volumes = {counter.name: counter.volume for counter in done.counters}
    assert volumes["vcpus"] == 2
    assert volumes["memory"] == 2048
    assert volumes["power.state"] == 1
    assert volumes["disk.device.capacity"] == 1 << 40


def test_counts_rise_from_poll_to_poll() -> None:
    host = host_at("test:///default")

    before, after = ({c.name: c.volume for c in poll(host).counters} for _ in range(2))

    assert after["cpu"] > before["cpu"]
    assert after["disk.device.read.bytes"] > before["disk.device.read.bytes"]


def test_each_sort_of_domain_is_polled_and_those_that_are_off_are_not(host: ComputeHost) -> None:
    done = poll(host)

    owners = {counter.resource_id: counter.project_id for counter in done.counters if counter.name == "cpu"}
    assert done.errors == {}
    assert owners == {
        UUIDS["new"]: "project-1",
        UUIDS["old"]: "project-2",
        UUIDS["foreign"]: None,
        UUIDS["malformed"]: None,
        UUIDS["paused"]: "project-2",
    }


def test_a_paused_domain_says_so(host: ComputeHost) -> None:
    states = {c.resource_id: c for c in poll(host).counters if c.name == "power.state"}

    assert states[UUIDS["paused"]].volume == 3
    assert states[UUIDS["paused"]].resource_metadata["status"] == "paused"
    assert states[UUIDS["new"]].volume == 1


def test_disks_and_interfaces_are_those_of_the_definition(host: ComputeHost) -> None:
    resources = {(c.name, c.resource_id) for c in poll(host).counters}

    assert {resource for name, resource in resources if name == "disk.device.usage"} == {
        f"{UUIDS[name]}-vda" for name in ("new", "old", "malformed")
    }
    assert {resource for name, resource in resources if name == "network.incoming.bytes"} == {
        f"new-{UUIDS['new']}-tap-new"
    }


def test_samples_carry_what_nova_knows(host: ComputeHost) -> None:
    [counter] = [c for c in poll(host).counters if c.name == "memory" and c.resource_id == UUIDS["new"]]

    assert counter.user_id == "user-1"
    assert counter.resource_metadata["display_name"] == "web & mail"
    assert counter.resource_metadata["flavor"]["name"] == "m1.small"
    assert counter.resource_metadata["instance_host"] == "node-1"


def test_a_hypervisor_that_cannot_be_reached_says_where_and_why(tmp_path: Path) -> None:
    host = host_at(f"qemu+unix:///system?socket={tmp_path}/nobody")

    with pytest.raises(HypervisorAway, match=r"nobody cannot be reached: Failed to connect socket"):
        host.read(EVERYTHING, 5)
