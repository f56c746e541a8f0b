from __future__ import annotations

import hashlib

import pytest

from metering.errors import PollError
from pollsters.compute.hypervisor import VNIC
from pollsters.compute.libvirt_xml import parse
from tests.pollsters.compute import domains
from tests.pollsters.compute.domains import UUIDS, domain


def test_novas_metadata_says_whose_a_guest_is_and_what_it_is_made_of() -> None:
    found = parse(domain("new", domains.NOVA_1_1), "node-1")

    assert (found.id, found.name) == (UUIDS["new"], "new")
    assert (found.project_id, found.user_id) == ("project-1", "user-1")
    assert found.metadata == {
        "display_name": "web & mail",
        "name": "new",
        "instance_id": UUIDS["new"],
        "instance_type": "m1.small",
        "host": hashlib.sha224(b"project-1node-1").hexdigest(),
        "instance_host": "node-1",
        "flavor": {
            "id": "42",
            "name": "m1.small",
            "vcpus": 2,
            "ram": 2048,
            "disk": 30,
            "ephemeral": 10,
            "swap": 512,
            "extra_specs": {"hw_rng:allowed": "true"},
        },
        "image": {"id": "image-1"},
        "image_ref": "image-1",
        "image_ref_url": None,
        "image_meta": {
            "container_format": "bare",
            "disk_format": "qcow2",
            "min_disk": 1,
            "min_ram": 0,
            "properties": {"hw_machine_type": "pc"},
        },
        "task_state": None,
        "os_type": "hvm",
        "architecture": "x86_64",
        "vcpus": 2,
        "memory_mb": 2048,
        "disk_gb": 30,
        "ephemeral_gb": 10,
        "root_gb": 20,
    }


def test_novas_older_metadata_is_read_as_well() -> None:
    found = parse(domain("old", domains.NOVA_1_0), "node-1")

    assert (found.project_id, found.user_id) == ("project-2", "user-2")
    assert found.metadata["instance_type"] == "m1.tiny"
    assert found.metadata["flavor"]["id"] is None
    assert "extra_specs" not in found.metadata["flavor"]
    assert found.metadata["image"] is None
    assert found.metadata["root_gb"] == 1


def test_a_domain_that_nova_did_not_make_is_nobodys_and_described_by_itself() -> None:
    found = parse(domain("foreign"), "node-1")

    assert (found.project_id, found.user_id) == (None, None)
    assert found.metadata["display_name"] == "foreign"
    assert found.metadata["flavor"] is None
    assert (found.metadata["vcpus"], found.metadata["memory_mb"]) == (2, 2048)
    assert "disk_gb" not in found.metadata


def test_malformed_metadata_costs_only_what_cannot_be_read() -> None:
    found = parse(domain("malformed", domains.MALFORMED, domains.DISK), "node-1")

    assert (found.project_id, found.user_id, found.disks) == (None, None, ("vda",))
    assert found.metadata["display_name"] == "malformed"
    assert found.metadata["flavor"] == {
        "id": None,
        "name": None,
        "vcpus": None,
        "ram": None,
        "disk": None,
        "ephemeral": None,
        "swap": None,
        "extra_specs": {},
    }
    assert found.metadata["root_gb"] is None
    assert found.metadata["image_ref"] is None


@pytest.mark.parametrize("text", ["", "<domain>", "<domain><name>x</name></domain>", "no XML at all"])
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(PollError):
        parse(text, "node-1")


def test_an_empty_drive_is_no_disk() -> None:
    assert parse(domain("new", devices=domains.DISK + domains.EMPTY_CDROM), "n").disks == ("vda",)


def test_interfaces_without_a_name_on_the_host_are_left_out() -> None:
    [nic] = parse(domain("new", devices=domains.NAMELESS_NIC + domains.NIC.format(name="new")), "n").nics

    assert nic == VNIC(
        name="tap-new",
        mac="fa:16:3e:11:22:33",
        interfaceid="e9a2b3d0-6e0a-4f0e-9a55-000000000001",
        bridge="br-int",
    )


def test_an_interfaces_filter_and_its_parameters_are_read() -> None:
    [nic] = parse(domain("new", devices=domains.FILTERED_NIC), "n").nics

    assert (nic.fref, nic.parameters) == ("nova-instance-1", {"ip": "10.0.0.2"})


def test_devices_without_a_target_are_left_out() -> None:
    targetless = "<disk type='file' device='disk'><source file='/disks/2'/></disk><interface type='bridge'/>"

    found = parse(domain("new", devices=targetless + domains.DISK), "n")

    assert (found.disks, found.nics) == (("vda",), ())


@pytest.mark.parametrize(
    "foreign",
    [
        '<o:instance xmlns:o="http://example.org/1.1"><o:owner><o:project uuid="p"/></o:owner></o:instance>',
        '<nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/9.9"><nova:owner/></nova:instance>',
        '<nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1"/>',
        "plain text",
    ],
)
def test_metadata_of_others_or_of_a_nova_that_we_do_not_know_makes_nobody_an_owner(foreign: str) -> None:
    found = parse(domain("foreign", foreign), "n")

    assert (found.project_id, found.user_id) == (None, None)
    assert found.metadata["display_name"] == "foreign"
