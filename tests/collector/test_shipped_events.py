"""What our own definitions keep of each service's notifications."""

from __future__ import annotations

from typing import Any

import pytest

from collector.events import files
from collector.events.converter import Converter
from collector.notification import parse
from metering.events import Value
from tests.collector.bodies import RECORDED

CONVERTER = Converter(files.load([])[0], drop_unmatched=True)
CADF = {
    "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event", "eventTime": "2026-01-02T03:04:05.5+0000",
    "outcome": "success", "action": "read", "initiator": {"id": "i", "project_id": "p", "host": {"address": "::1"}},
    "target": {"id": "AUTH_1", "metadata": {"container": "c", "object": "o"}},
}  # fmt: skip
MEASUREMENTS = [
    {"metric": {"name": "storage.objects.incoming.bytes", "unit": "B"}, "result": 7},
    {"metric": {"name": "storage.objects.outgoing.bytes", "unit": "B"}, "result": 28},
]
FLAVOR = {"nova_object.data": {"flavorid": "2", "name": "m1.small", "vcpus": 2, "memory_mb": 2048, "root_gb": 20}}
VERSIONED = {
    "uuid": "i-1", "tenant_id": "p", "user_id": "u", "host": "h", "state": "active", "flavor": FLAVOR,
    "launched_at": "2026-01-02T03:04:05Z", "deleted_at": None,
}  # fmt: skip

# event type, payload, traits beside those of the context
KEPT: list[tuple[str, Any, dict[str, Value]]] = [
    (
        "instance.create.end",
        {"nova_object.name": "InstanceCreatePayload", "nova_object.data": VERSIONED},
        {"resource_id": "i-1", "project_id": "p", "vcpus": 2, "memory_mb": 2048, "instance_type": "m1.small"},
    ),
    ("volume.transfer.accept.end", {"volume_id": "v", "transfer_id": "t", "size": 1}, {"resource_id": "v", "size": 1}),
    ("snapshot.create.end", {"snapshot_id": "s", "volume_size": 3}, {"resource_id": "s", "size": 3}),
    ("backup.create.end", {"backup_id": "b", "size": 3, "tenant_id": "p"}, {"resource_id": "b", "project_id": "p"}),
    ("image_volume_cache.hit", {"image_id": "i", "host": "h"}, {"resource_id": "i", "host": "h"}),
    ("image.send", {"image_id": "i", "bytes_sent": 9, "receiver_tenant_id": "p"}, {"bytes_sent": 9, "project_id": "p"}),
    ("share.create.end", {"share_id": "s", "project_id": "p", "size": 1}, {"resource_id": "s", "tenant_id": "p"}),
    ("orchestration.stack.create.end", {"stack_identity": "s", "tenant_id": "p"}, {"resource_id": "s"}),
    ("identity.user.created", {**CADF, "resource_info": "u"}, {"resource_id": "u", "user_id": "i"}),
    ("identity.OS-TRUST:trust.created", {"resource_info": "t"}, {"resource_id": "t"}),
    ("identity.role_assignment.created", {"role": "r", "user": "u", "project": "p"}, {"target_user_id": "u"}),
    ("identity.authenticate", CADF, {"outcome": "success", "initiator_host_address": "::1"}),
    (
        "objectstore.http.request",
        {**CADF, "measurements": MEASUREMENTS},
        {"resource_id": "AUTH_1", "incoming_bytes": 7, "outgoing_bytes": 28, "container": "c", "project_id": "p"},
    ),
    ("network.create.end", {"network": {"id": "n", "tenant_id": "p"}}, {"resource_id": "n", "project_id": "p"}),
    ("network.delete.end", {"network_id": "n"}, {"resource_id": "n", "project_id": "asking"}),
    ("subnet.create.end", {"subnet": {"id": "s", "network_id": "n"}}, {"resource_id": "s", "network_id": "n"}),
    ("port.update.end", {"port": {"id": "p", "device_id": "d"}}, {"resource_id": "p", "device_id": "d"}),
    ("port.update.start", {"id": "p", "port": {}}, {"resource_id": "p"}),
    ("router.interface.create", {"router_interface": {"id": "r", "tenant_id": "p"}}, {"resource_id": "r"}),
    ("floatingip.create.end", {"floatingip": {"id": "f", "floating_ip_address": "::"}}, {"floating_ip_address": "::"}),
    ("firewall.create.end", {"firewall": {"id": "f"}}, {"resource_id": "f"}),
    ("l3.meter", {"label_id": "l", "bytes": 5, "tenant_id": "p"}, {"resource_id": "l", "bytes": 5}),
    ("http.request", {"request": {"HTTP_X_PROJECT_ID": "p", "PATH_INFO": "/"}}, {"project_id": "p", "path": "/"}),
    ("dns.domain.exists", {"id": "d", "serial": 1}, {"serial": 1, "host": "h.example", "service": "s"}),
    ("trove.instance.exists", {"instance_id": "t", "volume_size": 2}, {"resource_id": "t", "volume_size": 2}),
    ("profiler.nova", {"base_id": "b", "info": {"request": {"path": "/"}}}, {"base_id": "b", "request_path": "/"}),
    ("magnum.cluster.create", CADF, {"project_id": "p", "outcome": "success"}),
    ("octavia.loadbalancer.create.end", {"id": "l", "project_id": "p"}, {"resource_id": "l", "project_id": "p"}),
    ("alarm.creation", {"alarm_id": "a", "project_id": "p", "detail": {"state": "ok"}}, {"state": "ok"}),
]  # fmt: skip


@pytest.mark.parametrize(("event_type", "payload", "traits"), KEPT, ids=[kept[0] for kept in KEPT])
def test_a_service_s_event_has_its_traits(event_type: str, payload: Any, traits: dict[str, Value]) -> None:
    said = {
        "event_type": event_type, "message_id": "m", "publisher_id": "s.h.example", "timestamp": "2026-01-02",
        "payload": payload, "_context_project_id": "asking", "_context_user_id": "asker",
    }  # fmt: skip

    event = CONVERTER.event(parse(said))

    assert event is not None
    assert traits.items() <= {trait.name: trait.value for trait in event.traits}.items()


def test_every_definition_of_ours_is_tried() -> None:
    tried = {*RECORDED, *(event_type for event_type, _, _ in KEPT)}

    for definition in files.load([])[0]:
        assert any(event_type in definition.event_types for event_type in tried), definition.where
