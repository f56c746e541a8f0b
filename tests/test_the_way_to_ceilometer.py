"""Stored samples are told to Ceilometer's collectors, by its own protocol, once they are stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from metering import packing
from metering.counters import Counter, Kind
from metering.models import Quarantine, Sample
from metering.publish import Publisher
from tests.collector.ceilometer_agent import metered, signed
from tests.collector.ceilometer_collector import collected, collecting
from tests.collector.line import celery_app
from tests.installation import KEYRING, Installation, installed, wait_for
from tests.services import RabbitMQ

SECRET = "shared by all agents"


@pytest.fixture
def ceilometer_url(rabbitmq: RabbitMQ) -> str:
    return rabbitmq.vhost()


@pytest.fixture
def installation(tmp_path: Path, rabbitmq_url: str, ceilometer_url: str, database_url: str) -> Iterator[Installation]:
    told = {
        "METERING_CEILOMETER_URL": ceilometer_url,
        "METERING_CEILOMETER_SECRETS": f"{SECRET},an older one",
        "METERING_PATIENCE_SECONDS": "1",
    }
    with installed(tmp_path, rabbitmq_url, database_url, **told) as made:
        made.start("samples")
        yield made


@pytest.fixture
def node(installation: Installation) -> Iterator[Publisher]:
    with ExitStack() as stack:
        app = stack.enter_context(celery_app(installation.broker_url))
        yield Publisher(app, KEYRING.signer("compute/host-1"), "openstack")


def cpu(resource: str, metadata: dict[str, Any]) -> Counter:
    return Counter("cpu", Kind.CUMULATIVE, "ns", 0.1, "u", None, resource, datetime.now(UTC), metadata, "o")


def unsigned(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "message_signature"}


def test_a_collector_of_ceilometer_s_hears_every_sample_signed_its_way(
    installation: Installation, node: Publisher, ceilometer_url: str, tmp_path: Path
) -> None:
    metadata = {"name": "größe", "list": ["é", 1, None, {"z": 1.5, "a": "x"}], "big": 2**70, "empty": {}}
    with collecting(ceilometer_url, tmp_path / "collector") as heard:
        wait_for(heard.exists, "a collector that listens")
        node.publish([cpu(f"i-{number}", metadata) for number in range(250)])
        wait_for(lambda: len(collected(heard)) == 250, "every sample heard")

        messages = collected(heard)
        assert [signed(unsigned(message), SECRET) for message in messages] == messages
        assert {message["message_id"] for message in messages} == {
            str(found) for found in Sample.objects.values_list("message_id", flat=True)
        }
        assert messages[0]["resource_metadata"] == metadata


def test_what_came_from_ceilometer_is_not_sent_back_and_what_it_cannot_sign_is_left_out(
    installation: Installation, node: Publisher, ceilometer_url: str, tmp_path: Path
) -> None:
    theirs = signed(metered(), SECRET)
    with collecting(ceilometer_url, tmp_path / "collector") as heard:
        wait_for(heard.exists, "a collector that listens")
        for text in packing.pack_whole([json.dumps(theirs)], signer=node.signer, source=node.source):
            node.send(text)
        wait_for(Sample.objects.exists, "their sample stored")
        node.publish([cpu("odd", {"name": "\ud800"}), cpu("last", {})])
        wait_for(lambda: collected(heard), "ours heard")

        assert [message["resource_id"] for message in collected(heard)] == ["last"]
    assert Sample.objects.count() == 3
    assert not Quarantine.objects.exists()


def test_samples_wait_for_a_bus_that_nobody_reads_and_are_stored_meanwhile(
    installation: Installation, node: Publisher, ceilometer_url: str, tmp_path: Path
) -> None:
    node.publish([cpu("early", {})])
    wait_for(lambda: "others cannot be told" in installation.log("samples"), "a batch parked")
    assert Sample.objects.count() == 1

    with collecting(ceilometer_url, tmp_path / "collector") as heard:
        wait_for(lambda: collected(heard), "the sample heard")

    assert [message["resource_id"] for message in collected(heard)] == ["early"]
    assert Sample.objects.count() == 1
    assert not Quarantine.objects.exists()


def test_both_ways_at_once_store_and_send_each_sample_once(
    tmp_path: Path, rabbitmq_url: str, database_url: str
) -> None:
    told = {"METERING_CEILOMETER_URL": rabbitmq_url, "METERING_CEILOMETER_SECRETS": SECRET}
    with (
        installed(tmp_path, rabbitmq_url, database_url, **told) as both,
        celery_app(rabbitmq_url) as app,
        collecting(rabbitmq_url, tmp_path / "collector") as heard,
    ):
        both.start("samples", "consumer")
        wait_for(heard.exists, "a collector that listens")
        wait_for(lambda: "for exchange ceilometer" in both.log("consumer"), "the consumer on their exchange")
        Publisher(app, KEYRING.signer("compute/host-1"), "openstack").publish([cpu("one", {"name": "größe"})])
        wait_for(lambda: "0 stored, 1 known, 0 refused" in both.log("samples"), "our own sample come back")
        Publisher(app, KEYRING.signer("compute/host-1"), "openstack").publish([cpu("two", {})])
        wait_for(lambda: both.log("samples").count("0 stored, 1 known") == 2, "the second one, too")

        assert [message["resource_id"] for message in collected(heard)] == ["one", "two"]
        assert Sample.objects.count() == 2
        assert not Quarantine.objects.exists()
