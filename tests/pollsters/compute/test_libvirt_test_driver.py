"""Against libvirt itself, by its test driver: no daemon, no QEMU, and no bulk statistics but the state."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import libvirt
import pytest

from metering.errors import HypervisorAway
from pollsters import runner
from pollsters.compute import libvirt_host
from pollsters.compute.host import ComputeHost
from pollsters.compute.hypervisor import EVERYTHING
from pollsters.compute.perf import PerfPollster
from pollsters.compute.reading import Policy
from tests.pollsters.compute import domains
from tests.pollsters.compute.domains import UUIDS
from tests.pollsters.compute.every import POLLSTERS

# The driver counts no time spent on disks and no events of a processor; the default domain has no flavor.
NOT_OFFERED = {
    *("disk.device.read.latency", "disk.device.write.latency"),
    *("instance:<flavor>", "disk.root.size", "disk.ephemeral.size"),
    *(meter.name for meter in PerfPollster.meters),
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


def test_the_default_domain_gives_every_meter_that_the_driver_offers() -> None:
    done = poll(host_at("test:///default"))

    assert done.errors == {}
    assert done.guests == 1
    assert {counter.name for counter in done.counters} == {
        meter.name for pollster in POLLSTERS.values() for meter in pollster.meters
    } - NOT_OFFERED
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


def test_of_domains_that_are_off_there_is_the_state_the_size_and_the_space_when_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "node.xml").write_text(domains.node())
    uri = f"test://{tmp_path}/node.xml"
    host = ComputeHost(lambda: libvirt_host.Connection(uri), "node-1", Policy(report_stopped=True))

    done = poll(host)

    off = {c.name: c for c in done.counters if c.resource_metadata["instance_id"] == UUIDS["off"]}
    assert done.errors == {}
    assert done.guests == 6
    assert {name: counter.volume for name, counter in off.items()} == {
        "power.state": 5,
        "vcpus": 2,
        "memory": 2048,
        "disk.device.capacity": 1 << 40,
        "disk.device.allocation": off["disk.device.allocation"].volume,
        "disk.device.usage": off["disk.device.usage"].volume,
    }
    assert off["memory"].resource_metadata["status"] == "stopped"


@pytest.fixture
def default_domain() -> Iterator[Any]:
    """The default domain, which all connections of a process share, open to changes."""
    connection = libvirt.open("test:///default")
    domain = connection.lookupByName("test")
    yield domain
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None, None, None, libvirt.VIR_DOMAIN_AFFECT_CURRENT)
    del domain
    connection.close()


def test_a_change_that_an_event_tells_of_is_seen_at_the_next_poll(default_domain: Any) -> None:
    host = host_at("test:///default")

    def display_name() -> object:
        [told] = [counter for counter in poll(host).counters if counter.name == "cpu"]
        return told.resource_metadata["display_name"]

    assert display_name() == "test"
    title = libvirt.VIR_DOMAIN_METADATA_TITLE, "renamed", None, None, libvirt.VIR_DOMAIN_AFFECT_CURRENT
    default_domain.setMetadata(*title)
    until = time.monotonic() + 5
    while display_name() != "renamed":  # events come in a thread of their own
        assert time.monotonic() < until
        time.sleep(0.01)


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
