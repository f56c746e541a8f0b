"""The operator's commands of the core, as an operator meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import kombu
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from metering import messages
from metering.errors import MalformedMessage, MeteringError
from metering.models import Sample
from metering.signing import Keyring
from metering.topology import SAMPLES, SAMPLES_IN
from tests.factories import NOON, at, reading
from tests.metering.storing import batch, foreign, record, whole
from tests.metering.test_message_format import documented_verifier

ROOT = Path(__file__).parents[2]
MASTER = {"k1": b"a secret of the tests"}  # of tests.factories.KEYS


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERING_SECRETS", "k1:a secret of the tests,k0:an older secret of the tests")
    monkeypatch.setenv("METERING_CEILOMETER_SECRETS", "s3cret")


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def manage(*arguments: str, **environ: str | None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own; a setting that is None is not set there."""
    told = {name: value for name, value in {**os.environ, **environ}.items() if value is not None}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=60, check=False)


# node_key


@pytest.mark.parametrize("publisher", ["compute/host-1", "central/central", "consumer/a.b_c", "api/x"])
def test_node_key_prints_the_key_that_signs_as_its_publisher(publisher: str) -> None:
    kid, _, digits = run("node_key", publisher).strip().partition(":")

    assert (kid, bytes.fromhex(digits)) == ("k1", Keyring(MASTER).signer(publisher).key)


def test_node_key_may_be_derived_from_an_older_secret() -> None:
    older = Keyring({"k0": b"an older secret of the tests"}).signer("compute/host-1")

    assert run("node_key", "compute/host-1", "--kid", "k0") == f"k0:{older.key.hex()}\n"


@pytest.mark.parametrize(
    "publisher",
    ["host-1", "compute/", "/host-1", "worker/host-1", "compute/a b", "compute/a/b", "compute/central", "compute/-a"],
)
def test_node_key_makes_no_key_for_what_is_no_publisher(publisher: str) -> None:
    with pytest.raises(CommandError):
        run("node_key", publisher)


def test_node_key_needs_a_secret_that_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="no secret 'k9'"):
        run("node_key", "compute/host-1", "--kid", "k9")
    monkeypatch.delenv("METERING_SECRETS")
    with pytest.raises(CommandError, match="METERING_SECRETS is not set"):
        run("node_key", "compute/host-1")


def test_node_key_needs_no_database() -> None:
    done = manage("node_key", "compute/host-1", DATABASE_URL=None, METERING_BROKER_URL=None)

    assert (done.returncode, done.stdout[:3], done.stderr) == (0, "k1:", "")


# plugins


def test_plugins_lists_what_is_installed_and_why_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERING_DISABLED_PLUGINS", "network")

    told = run("plugins")

    package = f"(nephometer {version('nephometer')})"
    assert f"metering.poll.compute  cpu  {package}  on" in told
    assert f"metering.poll.compute  network  {package}  off: named in METERING_DISABLED_PLUGINS" in told
    assert "disk.device.read.bytes" in told


def test_plugins_may_be_read_by_a_program() -> None:
    found = [json.loads(line) for line in run("plugins", "--json").splitlines()]

    [cpu] = [one for one in found if (one["namespace"], one["name"]) == ("metering.poll.compute", "cpu")]
    assert (cpu["package"], cpu["enabled"], cpu["reason"], cpu["meters"]) == ("nephometer", True, None, ["cpu"])
    assert {"namespace", "name", "package", "enabled", "reason", "options", "meters"} <= set(cpu)


# send_sample


@pytest.fixture
def queue(rabbitmq_url: str) -> Any:
    with kombu.Connection(rabbitmq_url) as broker:
        bound = SAMPLES(broker.default_channel)
        bound.declare()
        yield bound


def test_send_sample_puts_a_signed_sample_on_the_bus(queue: Any, rabbitmq_url: str) -> None:
    done = manage(
        "send_sample", "cpu", "1.5", "--resource", "web", "--type", "delta", "--unit", "ns", "--project", "red",
        "--timestamp", "2026-11-23T12:00:00Z", "--metadata", '{"a": 1}', "--origin", "o",
        METERING_BROKER_URL=rabbitmq_url, METERING_NODE="desk", DATABASE_URL=None,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, "sent cpu = 1.5 of web\n")
    message = None
    while message is None:
        message = queue.get()
    assert message.headers["task"] == "metering.record_samples"
    [[text], _, _] = json.loads(message.body)
    [sample] = messages.unpack(text)
    assert documented_verifier()(sample, MASTER)
    assert (sample["publisher_id"], sample["counter_name"], sample["counter_type"]) == ("api/desk", "cpu", "delta")
    assert (sample["counter_volume"], sample["project_id"], sample["user_id"]) == (1.5, "red", None)
    assert (sample["timestamp"], sample["resource_metadata"]) == ("2026-11-23T12:00:00.000000+00:00", {"a": 1})


def test_send_sample_says_when_nobody_stores_samples(rabbitmq_url: str) -> None:
    with kombu.Connection(rabbitmq_url) as broker:
        SAMPLES_IN(broker.default_channel).declare()  # and no queue is bound to it

    done = manage("send_sample", "cpu", "1", "--resource", "web", METERING_BROKER_URL=rabbitmq_url)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("nephometer: the broker did not take a batch: ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("cpu", "nan", "--resource", "web"), "is out of bounds"),
        (("cpu", "1", "--resource", ""), "is out of bounds"),
        (("cpu", "1", "--resource", "web", "--metadata", "{"), "--metadata is not JSON"),
        (("cpu", "1", "--resource", "web", "--metadata", "[]"), "--metadata must be a JSON object"),
        (("cpu", "1", "--resource", "web", "--timestamp", "yesterday"), "timestamp must be an ISO 8601 text"),
    ],
)
def test_send_sample_refuses_what_is_no_sample(arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises((CommandError, MeteringError), match=told):
        run("send_sample", *arguments)


# verify_samples


@pytest.fixture
def kept(ledger: None) -> list[Sample]:
    record(
        batch(*(reading(number, 60 * number, resource=f"r-{number % 2}", origin="o") for number in range(4))),
        batch(reading(9, 30, meter="memory", origin="o"), publisher="compute/host-2"),
        whole(foreign()),
    )
    return list(Sample.objects.order_by("ts"))


def verify(*arguments: str) -> tuple[int, list[str]]:
    """Exit status and what was printed."""
    out = StringIO()
    try:
        call_command("verify_samples", *arguments, stdout=out, stderr=StringIO())
    except SystemExit as exc:
        return int(exc.code or 0), out.getvalue().splitlines()
    return 0, out.getvalue().splitlines()


@pytest.mark.usefixtures("kept")
def test_verify_samples_finds_nothing_wrong_with_what_was_not_touched() -> None:
    assert verify() == (0, ["6 of 6 samples verify"])


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--meter", "memory"), 1),
        (("--resource", "r-1"), 2),
        (("--start", at(60).isoformat()), 3),
        (("--end", at(60).isoformat()), 3),
        (("--start", NOON.isoformat(), "--end", "2026-11-23 12:02:00", "--meter", "cpu"), 2),
        (("--meter", "none"), 0),
    ],
)
def test_verify_samples_takes_a_range_a_meter_or_a_resource(arguments: tuple[str, ...], count: int) -> None:
    assert verify(*arguments) == (0, [f"{count} of {count} samples verify"])


def test_verify_samples_names_what_was_tampered_with(kept: list[Sample]) -> None:
    touched = kept[2]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sample SET volume = volume + 1 WHERE message_id = %s", [touched.message_id])

    status, lines = verify()

    assert status == 1
    fault = "the signature does not fit what is stored"
    assert lines == [f"{touched.message_id} {touched.series}: {fault}", "5 of 6 samples verify", f"1: {fault}"]
    assert verify("--start", at(61).isoformat()) == (0, ["2 of 2 samples verify"])


def test_verify_samples_names_a_foreign_one_whose_text_was_changed(kept: list[Sample]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sample_original SET body = 'garbage'")

    status, lines = verify()

    assert (status, lines[1]) == (1, "5 of 6 samples verify")
    assert lines[0].startswith(f"{kept[0].message_id} ")


def test_verify_samples_names_one_whose_signer_is_gone(kept: list[Sample]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM signer WHERE publisher = 'compute/host-2'")

    status, lines = verify()

    [gone] = [sample for sample in kept if sample.volume == 9]
    assert status == 1
    assert lines[0].startswith(f"{gone.message_id}: ")
    assert lines[1] == "5 of 6 samples verify"


@pytest.mark.usefixtures("kept")
def test_verify_samples_needs_the_secrets_that_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERING_SECRETS", "k2:another secret of the tests")
    monkeypatch.delenv("METERING_CEILOMETER_SECRETS")

    status, lines = verify()

    assert status == 1
    assert lines[-3:] == [
        "0 of 6 samples verify",
        "5: no secret 'k1' in METERING_SECRETS",
        "1: messages signed the original's way are not accepted (METERING_CEILOMETER_SECRETS is empty)",
    ]
    monkeypatch.delenv("METERING_SECRETS")
    with pytest.raises(CommandError, match="METERING_SECRETS is not set"):
        verify()


@pytest.mark.usefixtures("kept")
def test_verify_samples_refuses_a_time_that_is_none() -> None:
    with pytest.raises(MalformedMessage):
        verify("--start", "yesterday")
