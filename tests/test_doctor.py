"""The doctor as an operator calls it: on a compute host without a database, and on the control plane."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amqp
import pytest
from kombu import Connection

from embedded.programs import environment_of
from embedded.services import free_port
from tests.commands import manage
from tests.installation import KEYRING, NODE, Installation, installed, polls_read, wait_for
from tests.services import RabbitMQ
from tests.stage import Stage

KEY = "METERING_NODE_KEY"


@pytest.fixture
def installation(tmp_path: Path, rabbitmq_url: str, database_url: str) -> Iterator[Installation]:
    with installed(tmp_path, rabbitmq_url, database_url) as installation:
        yield installation


def on_the_host(installation: Installation, *arguments: str, status: int = 0, **told: str) -> list[str]:
    """What the doctor says in the compute worker's own environment, which knows no database."""
    environ = environment_of("compute", installation.settings, installation.folder)
    said = installation.manage("doctor", *arguments, status=status, **blank(installation), **environ | told)
    return said.splitlines()


def blank(installation: Installation) -> dict[str, str]:
    """What an operator's command is told and a compute host is not, as if it were not set."""
    environ = environment_of("compute", installation.settings, installation.folder)
    return dict.fromkeys(installation.settings.keys() - environ.keys(), "")


def test_on_a_host_that_works_it_finds_nothing_wrong(installation: Installation) -> None:
    installation.start("samples", "control", "compute")
    installation.start("beat")
    wait_for(polls_read().exists, "a poll received")

    lines = on_the_host(installation)

    assert not [line for line in lines if line.startswith("wrong")]
    assert f"good   key: signs as compute/{NODE} with the key k1" in lines
    assert "good   meter cpu: yes, 1 sample" in lines
    assert any(line.startswith(f"good   queue poll.{NODE}: read by 1 worker;") for line in lines)
    assert any(line.startswith("good   queue samples: ") for line in lines)

    told = [json.loads(line) for line in on_the_host(installation, "--meter", "cpu", "--json")]
    assert [finding["about"] for finding in told if finding["about"].startswith("meter")] == ["meter cpu"] * 3
    assert all(
        finding["verdict"] != "wrong" and set(finding) == {"about", "verdict", "said", "remedy"} for finding in told
    )

    node = installation.manage("doctor", "--node", NODE, "--meter", "cpu").splitlines()
    assert not [line for line in node if line.startswith("wrong")]
    assert any(line.startswith("good   meter cpu: last read") for line in node)


def test_it_tells_that_nobody_is_at_the_other_end(installation: Installation) -> None:
    bare = on_the_host(installation, status=1)
    assert any("it has no exchange 'samples-in'; start a storage and a control worker" in line for line in bare)

    installation.start("samples", "control", "compute")
    installation.stop("samples")
    installation.stop("compute")
    gone = on_the_host(installation, status=1)

    assert any(line.startswith("wrong  queue samples: no storage worker reads it") for line in gone)
    assert any(line.startswith(f"wrong  queue poll.{NODE}: no worker reads it") for line in gone)


def test_two_workers_of_one_name_are_told(installation: Installation) -> None:
    installation.start("samples", "control", "compute")
    first = installation.running.pop("compute")
    installation.start("compute")
    try:
        lines = on_the_host(installation, status=1)
    finally:
        first.stop()

    assert any("2 workers read it; two hosts must not have one METERING_NODE" in line for line in lines)


def test_a_wrong_password_is_told_without_it(installation: Installation) -> None:
    url = installation.broker_url.replace("guest:guest@", "guest:a-wrong-one@")

    lines = on_the_host(installation, status=1, METERING_BROKER_URL=url)

    assert any("the broker refuses this user or password" in line for line in lines)
    assert not any("a-wrong-one" in line for line in lines)


def doctor(*arguments: str, status: int = 1, **told: str) -> dict[str, list[dict[str, Any]]]:
    """What it finds where nothing runs, by what it is about."""
    settings = {
        "DATABASE_URL": "",
        "METERING_BROKER_URL": "amqp://guest:guest@127.0.0.1:1//",
        "METERING_ROLE": "compute",
        "METERING_NODE": NODE,
        "METERING_SECRETS": "",
        KEY: f"k1:{KEYRING.signer(f'compute/{NODE}').key.hex()}",
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for line in manage("doctor", "--json", *arguments, status=status, **settings | told).splitlines():
        if line.startswith("{"):
            finding = json.loads(line)
            found.setdefault(finding["about"], []).append(finding)
    return found


def test_it_needs_no_broker_to_tell_that_there_is_none() -> None:
    found = doctor()

    [broker] = found["broker"]
    assert broker["verdict"] == "wrong"
    assert "amqp://guest:**@127.0.0.1:1// cannot be reached" in broker["said"]
    assert found["meter cpu"][0]["verdict"] == "good"


def test_a_key_of_another_publisher_is_told_where_the_secret_is_known() -> None:
    found = doctor(METERING_SECRETS="k1:the-first-secret-of-the-tests", METERING_NODE="host-2")

    [key] = found["key"]
    assert (key["verdict"], key["said"]) == ("wrong", "METERING_NODE_KEY is not the key of compute/host-2")


def test_a_libvirt_that_is_not_there_is_told_with_its_uri(tmp_path: Path) -> None:
    found = doctor("--uri", f"qemu+unix:///system?socket={tmp_path}/none")

    [hypervisor] = found["hypervisor"]
    assert f"{tmp_path}/none" in hypervisor["said"]
    assert "is libvirtd running" in hypervisor["remedy"]
    assert found["meter cpu"][0]["said"] == "no: the hypervisor could not be read"


def test_a_meter_that_was_switched_off_or_is_not_asked_for_or_unknown_is_told(tmp_path: Path) -> None:
    sources = tmp_path / "sources.yaml"
    sources.write_text("sources: [{name: most, meters: ['!cpu']}]")

    off = doctor("--meter", "vcpus", METERING_DISABLED_PLUGINS="vcpus")["meter vcpus"]
    not_asked = doctor("--meter", "cpu", METERING_SOURCES_FILE=str(sources))["meter cpu"]
    unknown = doctor("--meter", "vcpu")["meter vcpu"]

    assert "its plugin vcpus is off: named in METERING_DISABLED_PLUGINS" in [finding["said"] for finding in off]
    assert "no source asks for it" in [finding["said"] for finding in not_asked]
    assert unknown[0]["said"] == "no installed plugin makes it"
    assert "vcpus" in unknown[0]["remedy"]


def test_a_faulty_sources_file_is_told_fault_by_fault(tmp_path: Path) -> None:
    sources = tmp_path / "sources.yaml"
    sources.write_text("sources:\n- {name: a, interval: x, meters: [cpu]}\n- {meters: []}\n")

    said = doctor(METERING_SOURCES_FILE=str(sources), METERING_ROLE="")["sources"]

    assert [finding["said"].partition(": ")[2][:7] for finding in said] == ["line 2:", "line 3:", "line 3:"]


def test_polls_that_wait_in_the_spool_are_told(tmp_path: Path) -> None:
    folder = tmp_path / f"compute-{NODE}"
    folder.mkdir()
    (folder / "1-0-default.poll").write_text("{}")
    (folder / "dropped.json").write_text('{"polls": 3, "samples": 40}')

    waits, dropped = doctor(METERING_SPOOL_DIR=str(tmp_path))["spool"]

    assert waits["verdict"] == "wrong"
    assert waits["said"] == f"polls in {folder} that wait for the broker: 1 (2 bytes)"
    assert dropped["said"] == "given up since it was made: 3 polls, 40 samples"


def test_a_node_is_asked_of_the_database_or_not_at_all() -> None:
    assert "DATABASE_URL is not set" in manage("doctor", "--node", NODE, status=1, DATABASE_URL="")

    away = manage("doctor", "--node", NODE, status=1, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert "wrong  database: " in away
    assert "Traceback" not in away


def test_notifications_that_nobody_reads_are_told(tmp_path: Path, stage: Stage, rabbitmq: RabbitMQ) -> None:
    """In the queue that services make themselves; a consumer has queues of its own."""
    rabbitmq.wait_ready()
    url = stage.rabbitmq.vhost()
    with Connection(url) as connection:
        channel: Any = connection.default_channel
        for queue in ("notifications.info", "versioned_notifications.info"):
            channel.queue_declare(queue, durable=True, auto_delete=False)
        channel.basic_publish(amqp.Message("{}"), routing_key="notifications.info")
    told = {"METERING_NOTIFICATION_URLS": url, "METERING_BROKER_URL": url, "METERING_SPOOL_DIR": str(tmp_path)}

    lines = manage("doctor", status=1, **told).splitlines()

    assert [line for line in lines if "queue notifications.info: nobody reads it and 1 notifications wait" in line]
    assert not [line for line in lines if "versioned_notifications" in line]
    away = f"amqp://guest:secret@127.0.0.1:{free_port()}//"
    [line] = [
        line
        for line in manage("doctor", status=1, **told | {"METERING_NOTIFICATION_URLS": away}).splitlines()
        if line.startswith("wrong  notifications")
    ]
    assert "cannot be reached" in line
    assert "secret" not in line
