from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from collector.hearing import hear
from metering.counters import Counter, Kind
from tests.collector.bodies import body, recorded
from tests.collector.line import index_of
from tests.collector.rows import SHIPPED

PROJECT, USER = "4f1d0c1b2a6e4b6f9b7f6a0d2c3e5f70", "9c7b5a3d1e2f40518a6b7c8d9e0f1a2b"
INSTANCE = "0f7f3ddb-5d5b-4f8b-9f2e-58a0a2c6a1d4"
IMAGE = "4cb2b2b8-8d4f-4a30-9c1b-0c1f5b0f9e77"
VOLUME = "c2a3b4d5-6e7f-4081-92a3-b4c5d6e7f809"
# What the shipped rows make beside the size of things is told in the table of all recorded bodies.
INSTANCE_ROWS = (
    "instance",
    "memory",
    "vcpus",
    "disk.root.size",
    "disk.ephemeral.size",
    "compute.instance.booting.time",
)


def heard(service: str, message: dict[str, Any], *rows: str) -> list[Counter]:
    """What these rows of a service's file make of a message, in this order; none of them fails."""
    index = index_of(**{f"{service}.{row}": SHIPPED[f"{service}.{row}"] for row in rows})
    exchange = SHIPPED[f"{service}.{rows[0]}"].exchange
    result = hear(body(message), exchange, index)
    assert result.failures == ()
    return sorted(result.counters, key=lambda counter: rows.index(counter.name))


def instance(message: dict[str, Any]) -> list[Counter]:
    return heard("nova", message, *INSTANCE_ROWS)


def volume(message: dict[str, Any]) -> list[Counter]:
    return heard("cinder", message, "volume", "volume.size")


def volumes(counters: Iterable[Counter]) -> dict[str, float]:
    return {counter.name: counter.volume for counter in counters}


def test_an_instance_that_was_created_is_there_with_its_size() -> None:
    counters = instance(recorded("compute.instance.create.end"))

    assert {c.name: (c.type, c.unit, c.volume) for c in counters} == {
        "instance": (Kind.GAUGE, "instance", 1),
        "memory": (Kind.GAUGE, "MiB", 2048),
        "vcpus": (Kind.GAUGE, "vcpu", 1),
        "disk.root.size": (Kind.GAUGE, "GiB", 20),
        "disk.ephemeral.size": (Kind.GAUGE, "GiB", 10),
        "compute.instance.booting.time": (Kind.GAUGE, "sec", 11.0),
    }
    assert {(c.resource_id, c.project_id, c.user_id) for c in counters} == {(INSTANCE, PROJECT, USER)}
    assert {c.timestamp for c in counters} == {datetime(2026, 11, 23, 9, 15, 2, 318455, tzinfo=UTC)}
    assert {c.origin for c in counters} == {"5b0a0d62-0d6b-4f49-9d2b-0e2b9e1b7a11"}


def test_an_instance_is_described_by_what_is_known_of_it() -> None:
    counter = instance(recorded("compute.instance.create.end"))[0]

    assert counter.resource_metadata == {
        "host": "compute-07",
        "flavor_id": "2",
        "flavor_name": "m1.small",
        "display_name": "web-1",
        "image_ref": IMAGE,
        "image_meta": {
            "base_image_ref": IMAGE,
            "container_format": "bare",
            "disk_format": "qcow2",
            "min_disk": "20",
            "min_ram": "0",
        },
        "launched_at": "2026-11-23T09:15:02.000000",
        "created_at": "2026-11-23 09:14:51+00:00",
        "user_metadata": {"cost_center": "4711", "project": "shöp"},
    }


@pytest.mark.parametrize("event_type", ["compute.instance.exists", "compute.instance.delete.end"])
def test_existence_and_deletion_say_how_large_an_instance_was(event_type: str) -> None:
    counters = volumes(instance(recorded(event_type)))

    assert set(counters) == {"instance", "memory", "vcpus", "disk.root.size", "disk.ephemeral.size"}


def test_a_resized_instance_has_its_new_size() -> None:
    counters = volumes(instance(recorded("compute.instance.resize.confirm.end")))

    assert counters == {"instance": 1, "memory": 4096, "vcpus": 2, "disk.root.size": 40, "disk.ephemeral.size": 0}


@pytest.mark.parametrize("event_type", ["compute.instance.create.start", "compute.instance.update"])
def test_an_unsettled_instance_is_not_metered(event_type: str) -> None:
    assert instance(recorded(event_type)) == []


def test_what_nova_does_not_know_is_no_sample() -> None:
    message = recorded("compute.instance.exists", memory_mb="", vcpus=None, root_gb="20", image_meta={}, metadata=[])
    del message["payload"]["ephemeral_gb"]

    counters = instance(message)

    assert volumes(counters) == {"instance": 1, "disk.root.size": 20.0}
    assert not {"image_ref", "image_meta", "user_metadata"} & set(counters[0].resource_metadata)


@pytest.mark.parametrize("times", [{"launched_at": ""}, {"created_at": None}])
def test_an_instance_that_was_not_launched_has_no_booting_time(times: dict[str, Any]) -> None:
    counters = volumes(instance(recorded("compute.instance.create.end", **times)))

    assert "compute.instance.booting.time" not in counters


def test_clocks_that_disagree_give_no_negative_booting_time() -> None:
    message = recorded(
        "compute.instance.create.end", created_at="2026-11-23T09:15:00Z", launched_at="2026-11-23 09:14:58"
    )

    assert volumes(instance(message))["compute.instance.booting.time"] == 2.0


def test_whose_it_is_comes_from_the_context_where_the_payload_is_silent() -> None:
    message = recorded("volume.exists", tenant_id=None, user_id="") | {"_context_project_id": "p-9"}

    counter = volume(message)[0]

    assert (counter.project_id, counter.user_id) == ("p-9", USER)


@pytest.mark.parametrize("event_type", ["image.upload", "image.update", "image.delete"])
def test_an_image_is_as_large_as_it_is_and_nobodys_in_person(event_type: str) -> None:
    [counter] = heard("glance", recorded(event_type), "image.size")

    assert (counter.name, counter.type, counter.unit) == ("image.size", Kind.GAUGE, "B")
    assert (counter.volume, counter.resource_id, counter.project_id) == (356515840, IMAGE, PROJECT)
    assert counter.user_id is None


def test_an_image_without_data_has_no_size() -> None:
    assert heard("glance", recorded("image.update", size=None, status="queued"), "image.size") == []


def test_the_credentials_of_glances_store_stay_out_of_the_samples() -> None:
    [counter] = heard("glance", recorded("image.upload"), "image.size")

    assert "storepassword" not in str(counter.resource_metadata)
    assert counter.resource_metadata["properties"] == {"os_distro": "debian", "hw_disk_bus": "virtio"}


def test_an_image_that_was_sent_is_a_download_for_one_and_a_serving_for_the_other() -> None:
    download, serve = heard("glance", recorded("image.send"), "image.download", "image.serve")

    assert (download.name, download.type, download.unit, download.volume) == ("image.download", "delta", "B", 356515840)
    assert (download.project_id, download.user_id) == (
        "aa11bb22cc33dd44ee55ff6677889900",
        "1234567890abcdef1234567890abcdef",
    )
    assert (serve.name, serve.type, serve.unit, serve.volume) == ("image.serve", "delta", "B", 356515840)
    assert (serve.project_id, serve.user_id, serve.resource_id) == (PROJECT, None, IMAGE)
    assert serve.resource_metadata["receiver_tenant_id"] == download.project_id


@pytest.mark.parametrize(
    ("event_type", "size"),
    [
        ("volume.create.start", 5),
        ("volume.create.end", 5),
        ("volume.attach.end", 5),
        ("volume.resize.end", 10),
        ("volume.exists", 10),
        ("volume.retype", 10),
        ("volume.delete.end", 10),
    ],
)
def test_a_volume_is_there_and_this_large(event_type: str, size: int) -> None:
    counters = volume(recorded(event_type))

    assert [(c.name, c.type, c.unit, c.volume) for c in counters] == [
        ("volume", Kind.GAUGE, "volume", 1),
        ("volume.size", Kind.GAUGE, "GiB", size),
    ]
    assert {(c.resource_id, c.project_id, c.user_id) for c in counters} == {(VOLUME, PROJECT, USER)}


def test_a_volume_says_what_it_was_made_from_and_where_it_is_attached() -> None:
    counter = volume(recorded("volume.attach.end"))[0]

    assert counter.resource_metadata == {
        "display_name": "data",
        "volume_type": "7f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1",
        "image_id": IMAGE,
        "instance_id": INSTANCE,
        "status": "in-use",
    }


@pytest.mark.parametrize("odd", [None, [], [7], "text", [{"key": "image_name"}], {"server_id": 1}])
def test_odd_lists_of_a_volume_say_nothing(odd: Any) -> None:
    message = recorded("volume.attach.end", glance_metadata=odd, volume_attachment=odd)

    assert not {"image_id", "instance_id"} & set(volume(message)[0].resource_metadata)
