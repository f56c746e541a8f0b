"""Every meter of the central pollsters, from documented bodies, by a token of a real Keystone."""

from __future__ import annotations

import logging

import pytest

from metering.counters import Kind
from pollsters.central.alarm import AlarmPollster
from pollsters.central.cloud import OpenStack
from pollsters.central.dns import RecordSetPollster, ZonePollster
from pollsters.central.firewall import FirewallPolicyPollster, FirewallPollster
from pollsters.central.floating_ip import FloatingIPPollster
from pollsters.central.load_balancer import LoadBalancerPollster
from pollsters.central.object_storage import AccountPollster, ContainerPollster
from pollsters.central.share import SharePollster
from pollsters.central.volume import BackupPollster, SnapshotPollster, VolumePollster
from pollsters.central.volume_pool import VolumePoolPollster, virtual_free
from pollsters.central.volume_service import VolumeServicePollster
from pollsters.central.vpn import VPNConnectionPollster, VPNPollster
from tests.openstack.lab import CloudLab
from tests.openstack.services import Answer, recorded
from tests.pollsters.central.asking import NOW, poll, read, rows


def test_a_floating_ip_is_the_number_of_its_state(clouds: OpenStack) -> None:
    [bound, free] = read(clouds, FloatingIPPollster)

    assert (bound.name, bound.type, bound.unit, bound.volume) == ("ip.floating", Kind.GAUGE, "ip", 1)
    assert free.volume == 3
    assert (bound.resource_id, bound.project_id, bound.user_id) == (
        "2f245a7b-796b-4f26-9cf9-9e82d248fda7",
        "4969c491a3c74ee4af974e6d800c62de",
        None,
    )
    assert bound.resource_metadata == {
        "router_id": "d23abc8d-2991-4a55-ba98-2aaea84cc72f",
        "status": "ACTIVE",
        "floating_network_id": "376da547-b977-4cfe-9cba-275c80debf57",
        "fixed_ip_address": "10.0.0.3",
        "port_id": "ce705c24-c1ef-408a-bda3-7bbd946164ab",
        "floating_ip_address": "172.24.4.228",
    }
    assert (bound.timestamp, bound.origin) == (NOW, '["poll","default",1,"network","north",null,"lab"]')


def test_volumes_snapshots_and_backups_have_their_sizes_and_owners(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    [web, other, snapshot, backup] = read(clouds, VolumePollster, SnapshotPollster, BackupPollster)

    assert rows([web, other, snapshot, backup]) == [
        ("volume.size", "GiB", 20, "6edbc2f4-1507-44f8-ac0d-eed1d2608d38"),
        ("volume.size", "GiB", 1, "45baf976-c20a-4894-a7c3-c94b7376bf55"),
        ("volume.snapshot.size", "GiB", 20, "d194c5a2-4a3b-4b8e-8a2a-5b7c2ab0e2c1"),
        ("volume.backup.size", "GiB", 20, "2ef47aee-8844-490c-804d-2a8efe561c65"),
    ]
    owner = ("bab7d5c60cd041a0a36f7c4b6e1dd978", "32779452fcd34ae1a53a797ac8a1e064")
    assert [(c.project_id, c.user_id) for c in (web, snapshot, backup)] == [owner] * 3
    assert set(web.resource_metadata) == {
        "name", "status", "volume_type", "volume_type_id", "availability_zone", "os-vol-host-attr:host",
        "migration_status", "attachments", "snapshot_id", "source_volid", "image_id", "instance_id",
    }  # fmt: skip
    assert web.resource_metadata["image_id"] == "8a2a0c83-6d55-4bd9-9a3b-9e3b1e6a3b57"
    assert web.resource_metadata["instance_id"] == "f4fda93b-06e0-4743-8117-bc8bcecd651b"
    assert other.resource_metadata["instance_id"] is None
    assert snapshot.resource_metadata["os-extended-snapshot-attributes:progress"] == "100%"
    assert backup.resource_metadata["is_incremental"] is True
    asked = cloud_lab.services.asked
    assert {request.query["all_tenants"] for request in asked} == {"1"}
    assert {request.headers["OpenStack-API-Version"] for request in asked} == {"volume 3.64"}
    assert asked[0].path == f"/volume/v3/{cloud_lab.projects['admin']}/volumes/detail"


def test_a_pool_tells_what_it_knows_and_no_more(clouds: OpenStack) -> None:
    counters = read(clouds, VolumePoolPollster)

    prefix = "volume.provider.pool.capacity"
    thin, thick, endless = "block-1@lvm#thin", "block-2@nfs#thick", "block-3@cloud#endless"
    assert rows(counters) == [
        (f"{prefix}.total", "GiB", 1024, thin),
        (f"{prefix}.free", "GiB", 824.5, thin),
        (f"{prefix}.allocated", "GiB", 180, thin),
        (f"{prefix}.provisioned", "GiB", 500, thin),
        (f"{prefix}.virtual_free", "GiB", 20 * (1024 - 51) - 500, thin),
        (f"{prefix}.total", "GiB", 100.5, thick),
        (f"{prefix}.free", "GiB", 60, thick),
        (f"{prefix}.allocated", "GiB", 40, thick),
        (f"{prefix}.provisioned", "GiB", 40, thick),
        (f"{prefix}.virtual_free", "GiB", 100.5 - 10 - 40, thick),
        (f"{prefix}.allocated", "GiB", 7, endless),
    ]
    assert {c.project_id for c in counters} == {None}
    assert counters[0].resource_metadata == {"pool_name": "thin"}


def test_a_pool_without_figures_has_no_room_to_promise() -> None:
    assert virtual_free({"total_capacity_gb": "infinite", "provisioned_capacity_gb": 5}) is None
    assert virtual_free({"total_capacity_gb": 10}) is None
    assert virtual_free({"total_capacity_gb": 10, "provisioned_capacity_gb": 4}) == 6


def test_cinders_services_are_up_or_down(clouds: OpenStack) -> None:
    [scheduler, volume] = read(clouds, VolumeServicePollster)

    assert rows([scheduler, volume]) == [
        ("volume.service.health", "health", 1, "cinder-scheduler@control-1"),
        ("volume.service.health", "health", 0, "cinder-volume@block-1@lvm"),
    ]
    assert volume.resource_metadata == {
        "binary": "cinder-volume",
        "host": "block-1@lvm",
        "zone": "nova",
        "status": "disabled",
    }


def test_shares_have_size_and_state_and_an_unknown_state_is_told_of_once(
    clouds: OpenStack, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        counters = read(clouds, SharePollster) + read(clouds, SharePollster)

    assert rows(counters[:4]) == [
        ("manila.share.size", "GiB", 10, "d94a8548-2079-4be0-b21c-0a887acd31ca"),
        ("manila.share.status", "status", 1, "d94a8548-2079-4be0-b21c-0a887acd31ca"),
        ("manila.share.size", "GiB", 1, "406ea93b-32e9-4907-a117-148b3945749f"),
        ("manila.share.status", "status", -1, "406ea93b-32e9-4907-a117-148b3945749f"),
    ]
    assert counters[0].resource_metadata == {
        "name": "home",
        "availability_zone": "nova",
        "protocol": "NFS",
        "share_type": "25747776-08e5-494f-ab40-a64b9d20d8f7",
        "share_network_id": "713df749-aac0-4a54-af52-10f6c991e80c",
        "status": "available",
        "host": "files-1@generic#pool",
        "is_public": True,
    }
    assert caplog.text.count("the state 'walking_away' is not known here, and is sent as -1") == 1


def test_each_projects_account_and_containers_are_counted(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    counters = read(clouds, AccountPollster, ContainerPollster)

    red = cloud_lab.projects["red"]
    assert rows([c for c in counters if c.project_id == red]) == [
        ("storage.objects", "object", 7, red),
        ("storage.objects.size", "B", 4096, red),
        ("storage.objects.containers", "container", 2, red),
        ("storage.containers.objects", "object", 2, f"{red}/photos"),
        ("storage.containers.objects.size", "B", 20480, f"{red}/photos"),
        ("storage.containers.objects", "object", 0, f"{red}/empty/ones"),
        ("storage.containers.objects.size", "B", 0, f"{red}/empty/ones"),
    ]
    assert {c.project_id for c in counters} == set(cloud_lab.projects.values())
    photos = next(c for c in counters if c.resource_id == f"{red}/photos")
    assert photos.resource_metadata == {"storage_policy": "gold"}
    assert {c.origin for c in counters if c.project_id == red} == {
        f'["poll","default",1,"object-store","north","{red}","lab"]'
    }


def test_a_project_that_never_stored_anything_has_no_samples_and_is_no_error(
    clouds: OpenStack, cloud_lab: CloudLab
) -> None:
    blue = cloud_lab.projects["blue"]
    cloud_lab.services.change(f"/swift/v1/AUTH_{blue}", Answer("", 404))

    counters = read(clouds, AccountPollster, ContainerPollster)

    assert {c.project_id for c in counters} == set(cloud_lab.projects.values()) - {blue}


def test_load_balancers_have_two_states(clouds: OpenStack) -> None:
    counters = read(clouds, LoadBalancerPollster)

    best, broken = "607226db-27ef-4d41-ae89-f2a800e9c2db", "1a1a1a1a-27ef-4d41-ae89-f2a800e9c2db"
    assert rows(counters) == [
        ("loadbalancer.operating", "status", 1, best),
        ("loadbalancer.provisioning", "status", 1, best),
        ("loadbalancer.operating", "status", 6, broken),
        ("loadbalancer.provisioning", "status", 5, broken),
    ]
    assert counters[0].resource_metadata == {
        "name": "best",
        "availability_zone": "az-1",
        "vip_address": "203.0.113.50",
        "vip_port_id": "b4ca07d1-a31e-43e2-891a-7d14f419f342",
        "provisioning_status": "ACTIVE",
        "operating_status": "ONLINE",
        "provider": "amphora",
        "flavor_id": "",
    }


def test_zones_of_every_region_have_state_ttl_serial_and_a_number_of_record_sets(
    clouds: OpenStack, cloud_lab: CloudLab
) -> None:
    south = {**recorded("zones")["zones"][0], "id": "in-the-south", "status": "ERROR"}
    cloud_lab.services.change("/dns-south/v2/zones", Answer({"zones": [south]}))
    cloud_lab.services.change("/dns-south/v2/zones/*/recordsets", Answer(recorded("recordsets")))

    counters = read(clouds, ZonePollster, RecordSetPollster)

    org, net = "a86dba58-0043-4cc6-a1bb-69d5e86f3ca3", "fdd7b0dc-52a3-491e-829f-41d18e1d3ada"
    assert rows(counters) == [
        ("dns.zone.status", "status", 1, org),
        ("dns.zone.ttl", "second", 7200, org),
        ("dns.zone.serial", "serial", 1404757531, org),
        ("dns.zone.status", "status", 2, net),
        ("dns.zone.ttl", "second", 0, net),
        ("dns.zone.serial", "serial", 0, net),
        ("dns.zone.status", "status", 3, "in-the-south"),
        ("dns.zone.ttl", "second", 7200, "in-the-south"),
        ("dns.zone.serial", "serial", 1404757531, "in-the-south"),
        ("dns.zone.recordsets", "recordset", 17, org),
        ("dns.zone.recordsets", "recordset", 17, net),
        ("dns.zone.recordsets", "recordset", 17, "in-the-south"),
    ]
    assert counters[0].project_id == "4335d1f0-f793-11e2-b778-0800200c9a66"
    assert counters[0].resource_metadata["pool_id"] == "572ba08c-d929-4c70-8e42-03824bb24ca2"
    assert {asked.headers["X-Auth-All-Projects"] for asked in cloud_lab.services.asked} == {"true"}


def test_vpns_and_firewalls_are_metered_and_a_connections_secret_is_not_kept(clouds: OpenStack) -> None:
    vpn, connection, firewall, policy = read(
        clouds, VPNPollster, VPNConnectionPollster, FirewallPollster, FirewallPolicyPollster
    )

    assert rows([vpn, connection, firewall, policy]) == [
        ("network.services.vpn", "vpnservice", 2, "5c561d9d-eaea-45f6-ae3e-08d1a7080828"),
        ("network.services.vpn.connections", "ipsec_site_connection", 1, "851f280f-5639-4ea3-81aa-e298525ab74b"),
        ("network.services.firewall", "firewall", 0, "3af94f0e-b52d-491a-87d2-704497305948"),
        ("network.services.firewall.policy", "firewall_policy", 1, "14c9d3d2-d89d-4b5e-8f2b-5a5f2b0a2d53"),
    ]
    assert vpn.resource_metadata["is_admin_state_up"] is True
    assert connection.resource_metadata["peer_address"] == "172.24.4.233"
    assert "psk" not in connection.resource_metadata
    assert "a shared secret" not in str(connection)
    assert firewall.resource_metadata["ingress_firewall_policy_id"] == "14c9d3d2-d89d-4b5e-8f2b-5a5f2b0a2d53"
    assert policy.resource_metadata["firewall_rules"] == ["8722e0e0-9cc9-4490-9660-8c9a5732fbb0"]


def test_a_network_service_without_the_extension_has_none_of_them_and_is_no_error(
    clouds: OpenStack, cloud_lab: CloudLab
) -> None:
    cloud_lab.services.change("/network/v2.0/vpn/*", Answer({"message": "The resource could not be found."}, 404))
    cloud_lab.services.change("/network/v2.0/fwaas/*", Answer({"message": "The resource could not be found."}, 404))

    assert read(clouds, VPNPollster, VPNConnectionPollster, FirewallPollster, FirewallPolicyPollster) == []


def test_an_alarms_evaluations_are_counted_by_state_each_a_sample_of_its_own(clouds: OpenStack) -> None:
    counters = read(clouds, AlarmPollster)

    assert [(c.resource_id[:2], c.resource_metadata["alarm_state"], c.volume) for c in counters] == [
        ("b8", "ok", 2),
        ("b8", "alarm", 5),
        ("b8", "insufficient data", 0),
        ("fa", "ok", 50),
        ("fa", "alarm", 3),
        ("fa", "insufficient data", 10),
    ]
    assert {(c.name, c.unit) for c in counters} == {("alarm.evaluation_result", "evaluation_result_count")}
    assert len({(c.resource_id, c.origin) for c in counters}) == 6


def test_a_service_that_nobody_asks_for_is_not_called(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    done = poll(clouds, ZonePollster, RecordSetPollster, FloatingIPPollster, wants=lambda meter: meter == "ip.floating")

    assert {counter.name for counter in done.counters} == {"ip.floating"}
    assert cloud_lab.services.paths() == ["/network/v2.0/floatingips"]
