"""One event, from the service that says it to the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from embedded.services import Postgres
from metering.models import Event, Quarantine, Sample, Token
from metering.signing import Keyring
from tests.collector.notifier import notify
from tests.events import batch, event
from tests.installation import KEYRING, Installation, installed, wait_for
from tests.test_the_bus_is_not_trusted import send

BODY = json.loads((Path(__file__).parent / "data" / "notifications" / "compute.instance.create.end.json").read_text())


@pytest.fixture
def installation(tmp_path: Path, rabbitmq_url: str, database_url: str) -> Iterator[Installation]:
    told = {"METERING_EVENTS": "1", "METERING_EVENT_STORE_RAW": "info"}
    with installed(tmp_path, rabbitmq_url, database_url, **told) as installation:
        yield installation


def test_an_event_goes_from_an_oslo_messaging_notifier_to_the_api(installation: Installation) -> None:
    payload = BODY["payload"]
    installation.start("samples", "consumer", "api")
    notify(installation.broker_url, "nova", ("compute.instance.create.end", payload))
    wait_for(Event.objects.exists, "the event stored")
    wait_for(Sample.objects.exists, "the samples of the same notification stored")

    owner = Token.issue("its owner's", project_id=payload["tenant_id"])
    instance = f"q.field=instance_id&q.op=eq&q.type=&q.value={payload['instance_id']}"
    vcpus = "q.field=vcpus&q.op=gt&q.type=integer&q.value=0"
    [shown] = installation.get(f"/v2/events?{instance}&{vcpus}", owner)
    traits = {trait["name"]: trait["value"] for trait in shown["traits"]}
    assert shown["event_type"] == "compute.instance.create.end"
    assert (traits["memory_mb"], traits["host"]) == (str(payload["memory_mb"]), "host-1")
    assert shown["raw"]["payload"] == payload
    assert installation.get(f"/v2/events/{shown['message_id']}", owner) == shown

    assert installation.get("/v2/events", Token.issue("a stranger's", project_id="another")) == []
    admin = Token.issue("an admin's", is_admin=True)
    assert installation.get("/v2/event_types", admin) == ["compute.instance.create.end"]
    assert not Quarantine.objects.exists()


def test_a_forged_event_on_the_bus_ends_in_quarantine(installation: Installation) -> None:
    installation.start("samples")
    forged = batch(event(1), keyring=Keyring({"k1": b"a secret that nobody knows"}))
    headers = {"task": "metering.record_events"}
    send(installation, [[forged], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}], headers)

    wait_for(Quarantine.objects.exists, "the forged event in quarantine")

    assert Quarantine.objects.get().reason == "the signature does not fit what consumer/c1 is said to have sent"
    assert not Event.objects.exists()


def test_replaying_a_notification_makes_its_event_once(installation: Installation) -> None:
    installation.start("samples")
    lines = installation.folder / "notifications.jsonl"
    lines.write_text(
        json.dumps(BODY) + "\n" + json.dumps({**BODY, "event_type": "unheard.of", "message_id": "x"}) + "\n"
    )

    for _ in range(2):
        installation.manage("replay_notifications", str(lines))
    installation.manage("send_sample", "after.all.of.them", "1", "--resource", "r")
    wait_for(lambda: Sample.objects.filter(series__meter="after.all.of.them").exists(), "what was sent last stored")

    assert sorted(Event.objects.values_list("event_type__name", flat=True)) == [
        "compute.instance.create.end", "unheard.of",
    ]  # fmt: skip


def test_a_database_that_is_away_is_waited_for(installation: Installation, postgres: Postgres) -> None:
    """For longer than a worker waits: the events are parked on the broker meanwhile."""
    installation.start("samples", METERING_PATIENCE_SECONDS="1")
    postgres.daemon.stop()
    genuine = batch(event(1), event(2), keyring=KEYRING)
    send(installation, [[genuine], {}, {}], {"task": "metering.record_events"})
    wait_for(lambda: "a batch is parked" in installation.log("samples"), "the batch parked")
    postgres.start()
    connection.close()  # ours broke as well

    wait_for(lambda: Event.objects.count() == 2, "both events stored")
    assert not Quarantine.objects.exists()
