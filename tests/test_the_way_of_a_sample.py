"""One sample, from where it is read to where it is asked for. Read this first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from metering.models import Node, PollSlot, Quarantine, Sample, Series, Token
from tests.collector.notifier import notify
from tests.installation import NODE, Installation, installed, polls_read, wait_for

NOTIFICATIONS = Path(__file__).parent / "data" / "notifications"


@pytest.fixture(params=["rabbitmq", "redis"])
def installation(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Installation]:
    """One on each broker: all that these tests see holds on both."""
    with installed(tmp_path, request.getfixturevalue(f"{request.param}_url"), database_url) as installation:
        yield installation


def test_a_sample_goes_from_a_libvirt_domain_to_the_api(installation: Installation) -> None:
    token = Token.issue("the test", is_admin=True)
    installation.start("samples", "control", "compute", "central", "api")
    installation.start("beat")
    wait_for(lambda: Sample.objects.filter(series__meter="cpu").count() >= 3, "three readings of cpu stored")

    [statistics] = installation.get("/v2/meters/cpu/statistics", token)
    assert statistics["count"] >= 3
    assert statistics["max"] > statistics["min"]
    assert statistics["unit"] == "ns"

    [newest, *_] = installation.get("/v2/meters/cpu", token)
    assert newest["counter_type"] == "cumulative"
    assert newest["project_id"] is None
    shown = installation.get(f"/v2/samples/{newest['message_id']}", token)
    assert (shown["id"], shown["volume"]) == (newest["message_id"], newest["counter_volume"])
    assert installation.get("/v2/meters", Token.issue("a stranger's", project_id="another")) == []

    wait_for(lambda: PollSlot.objects.filter(node="central", received=1).exists(), "a receipt of the central workers")
    assert polls_read().count() >= 3
    assert all(poll.guests == 1 and poll.errors == {} for poll in polls_read())
    assert set(Node.objects.values_list("publisher", flat=True)) == {f"compute/{NODE}", "central/central"}

    assert "samples verify" in installation.manage("verify_samples")
    assert not Quarantine.objects.exists()
    # The host that read it held neither a master secret nor a way to the database, and loaded no Django.
    assert "METERING_SECRETS" not in installation.log("compute")


def test_a_sample_goes_from_an_oslo_messaging_notifier_to_the_api(
    tmp_path: Path, rabbitmq_url: str, database_url: str
) -> None:
    body = json.loads((NOTIFICATIONS / "volume.create.end.json").read_text())
    with installed(tmp_path, rabbitmq_url, database_url) as installation:
        installation.start("samples", "consumer", "api")
        notify(rabbitmq_url, "cinder", ("volume.create.end", body["payload"]))
        wait_for(lambda: Series.objects.filter(meter="volume.size").exists(), "the volume's size stored")

        token = Token.issue("its owner's", project_id=body["payload"]["tenant_id"])
        [sample] = installation.get("/v2/samples?q.field=meter&q.value=volume.size", token)
        assert sample["resource_id"] == body["payload"]["volume_id"]
        assert (sample["volume"], sample["unit"], sample["type"]) == (body["payload"]["size"], "GiB", "gauge")
        assert installation.manage("verify_samples").startswith("3 of 3 samples verify")


def test_a_notification_sent_by_hand_and_again_is_stored_once(installation: Installation) -> None:
    installation.start("samples", "consumer")
    file = str(NOTIFICATIONS / "volume.create.end.json")
    installation.manage("send_notification", file)
    wait_for(lambda: Sample.objects.count() == 3, "volume, volume.size and volume.create.end stored")

    installation.manage("send_notification", file)
    lines = installation.folder / "notifications.jsonl"
    lines.write_text(json.dumps(json.loads(Path(file).read_text())) + "\n")
    installation.manage("replay_notifications", str(lines))
    installation.manage("send_sample", "after.all.of.them", "1", "--resource", "r")
    wait_for(lambda: Series.objects.filter(meter="after.all.of.them").exists(), "what was sent last stored")

    assert Sample.objects.exclude(series__meter="after.all.of.them").count() == 3


def test_a_compute_worker_needs_no_database_driver_and_no_database(
    tmp_path: Path, rabbitmq_url: str, database_url: str
) -> None:
    """It starts and polls where psycopg2 and django.db cannot be imported, and is told of no database."""
    refusing = tmp_path / "refusing"
    refusing.mkdir()
    (refusing / "sitecustomize.py").write_text(
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'psycopg2' or (name + '.').startswith('django.db.'):\n"
        "            raise ImportError(name + ' cannot be imported here')\n"
        "sys.meta_path.insert(0, Refuse())\n"
    )
    with installed(tmp_path, rabbitmq_url, database_url) as installation:
        installation.start("samples", "control")
        installation.start("compute", PYTHONPATH=str(refusing), DJANGO_SETTINGS_MODULE="metering.settings")
        installation.start("beat")
        wait_for(lambda: Sample.objects.filter(series__meter="cpu").exists(), "a reading of cpu stored")
        assert "cannot be imported here" not in installation.log("compute")
