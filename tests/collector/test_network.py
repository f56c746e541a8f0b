from __future__ import annotations

from typing import Any

import pytest

from collector.hearing import Heard, hear
from tests.collector.bodies import body, recorded
from tests.collector.line import index_of
from tests.collector.rows import SHIPPED

NAMES = ("neutron-network", "neutron-load-balancing", "neutron-firewall", "neutron-vpn")


def heard(message: dict[str, Any]) -> Heard:
    return hear(body(message), "neutron", index_of(**{name: SHIPPED[name] for name in NAMES}))


def test_a_network_is_there_and_was_made() -> None:
    there, made = heard(recorded("network.create.end")).counters

    assert (there.name, there.type, there.unit, there.volume) == ("network", "gauge", "network", 1)
    assert (made.name, made.type, made.unit, made.volume) == ("network.create", "delta", "network", 1)
    assert there.resource_metadata is made.resource_metadata
    assert there.resource_metadata["name"] == "private"
    assert there.resource_metadata["event_type"] == "network.create.end"


def test_what_only_exists_was_not_changed() -> None:
    assert [c.name for c in heard(recorded("network.exists")).counters] == ["network"]


def test_a_deletion_closes_the_resource_with_a_last_sample() -> None:
    made, gone = recorded("floatingip.create.end"), recorded("floatingip.delete.end")

    last, deleted = heard(gone).counters

    assert (last.name, last.volume, deleted.name, deleted.type) == ("ip.floating", 1, "ip.floating.delete", "delta")
    assert last.resource_id == made["payload"]["floatingip"]["id"]
    assert (last.project_id, last.user_id) == (gone["_context_project_id"], gone["_context_user_id"])
    assert last.resource_metadata["event_type"] == "floatingip.delete.end"


def test_a_deletion_that_tells_the_whole_resource_is_understood() -> None:
    port = recorded("port.create.end")["payload"]["port"]

    last, _ = heard(recorded("port.delete.end", port=port)).counters

    assert last.resource_id == port["id"]
    assert last.resource_metadata["mac_address"] == port["mac_address"]


@pytest.mark.parametrize(("name", "plural"), [("network", "networks"), ("subnet", "subnets"), ("port", "ports")])
def test_of_a_creation_in_bulk_each_is_there_and_was_made(name: str, plural: str) -> None:
    message = recorded(f"{name}.create.end")
    one = message["payload"][name]
    message["payload"] = {plural: [one | {"id": f"id-{number}"} for number in range(3)]}

    result = heard(message)

    assert result.failures == ()
    assert [(c.name, c.resource_id) for c in result.counters] == [
        (meter, f"id-{number}") for number in range(3) for meter in (name, f"{name}.create")
    ]


def test_policies_in_bulk_have_their_own_plural() -> None:
    message = recorded("firewall_policy.create.end")
    message["payload"] = {"firewall_policies": [message["payload"]["firewall_policy"]]}

    assert len(heard(message).counters) == 2


def test_of_many_one_that_cannot_be_used_costs_only_itself_and_is_told() -> None:
    message = recorded("port.create.end")
    port = message["payload"]["port"]
    message["payload"] = {"ports": [port, {"name": "nameless"}, "text", port | {"id": "p-4"}]}

    result = heard(message)

    assert {c.resource_id for c in result.counters} == {port["id"], "p-4"}
    assert [failure.reason for failure in result.failures] == ["listener neutron-network failed in part"] * 2
    assert "2 of 4: it has no id of a port" in result.failures[0].error


def test_a_change_that_begins_is_of_the_resource_that_it_names_beside_it() -> None:
    message = recorded("router.update.start")

    there, changed = heard(message).counters

    assert (there.resource_id, changed.name) == (message["payload"]["id"], "router.update")


def test_what_an_administrator_makes_for_a_project_is_the_projects() -> None:
    message = recorded("network.create.end") | {"_context_project_id": "admins", "_context_tenant_id": "admins"}
    message["payload"]["network"] |= {"tenant_id": "theirs", "project_id": ""}

    assert {c.project_id for c in heard(message).counters} == {"theirs"}


def test_the_key_of_a_private_network_is_not_kept() -> None:
    message = recorded("ipsec_site_connection.create.end")
    assert message["payload"]["ipsec_site_connection"]["psk"]

    assert all("psk" not in c.resource_metadata for c in heard(message).counters)


@pytest.mark.parametrize("payload", [None, [], "text", {}, {"network": None}, {"network": []}, {"network": {"id": 7}}])
def test_a_payload_without_its_resource_is_kept(payload: Any) -> None:
    result = heard(recorded("network.create.end") | {"payload": payload})

    assert result.counters == ()
    assert [failure.reason for failure in result.failures] == ["listener neutron-network failed"]
