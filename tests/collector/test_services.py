"""One event of each service, sent as the service does, to the samples on our bus."""

from __future__ import annotations

from typing import Any

import pytest

from collector.index import load
from tests.collector.bodies import recorded
from tests.collector.conftest import Start
from tests.collector.line import OurBus, Running, eventually, reads
from tests.collector.notifier import notify
from tests.collector.rows import SETTINGS, VERSIONED
from tests.collector.test_shipped_meters import EXPECTED, PROJECT, USER

# Of each exchange one event; the drivers take turns.
SAID = {
    "aodh": "alarm.creation",
    "cinder": "snapshot.create.end",
    "dns": "dns.domain.exists",
    "glance": "image.upload",
    "heat": "orchestration.stack.create.end",
    "ironic": "hardware.ipmi.metrics.update",
    "keystone": "identity.authenticate",
    "magnetodb": "magnetodb.table.create.end",
    "magnum": "magnum.bay.metrics.update",
    "manila": "share.create.end",
    "neutron": "port.create.end",
    "nova": "compute.instance.exists",
    "octavia": "octavia.loadbalancer.create.end",
    "sahara": "sahara.cluster.create",
    "swift": "objectstore.http.request",
    "trove": "trove.instance.exists",
}
CONTEXT = ("user_id", "user", "project_id", "tenant_id", "tenant", "trustor_user_id")


def say(url: str, exchange: str, event_type: str, driver: str, topic: str = "notifications") -> None:
    message = recorded(event_type)
    context = {key: message[f"_context_{key}"] for key in CONTEXT if message.get(f"_context_{key}")}
    notify(url, exchange, (event_type, message["payload"]), driver=driver, context=context, topic=topic)


def samples_of(ours: OurBus, running: Running, count: int) -> list[dict[str, Any]]:
    assert eventually(lambda: running.acknowledged == count, seconds=60)
    assert [letter.headers for letter in ours.dead()] == []
    return ours.samples()


def told(event_type: str) -> set[tuple[Any, ...]]:
    [one] = [one for one in EXPECTED if one.event_type == event_type]
    return set(one.samples)


def as_told(samples: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    keys = ("name", "type", "unit", "volume")
    ids = ("resource_id", "project_id", "user_id")
    return {(*(one[f"counter_{key}"] for key in keys), *(one[key] for key in ids)) for one in samples}


def test_an_event_of_every_service_comes_out_as_its_samples(amqp_url: str, start: Start) -> None:
    ours = OurBus(amqp_url)
    ours.listen()
    index = load(SETTINGS, {})
    assert set(index.topics) - {"central", "ceilometer"} == set(SAID)  # one more of designate's, one that is no service
    running = start(amqp_url, amqp_url, index)
    assert reads(running, *index.topics, seconds=60)

    for number, (exchange, event_type) in enumerate(SAID.items()):
        say(amqp_url, exchange, event_type, ("messaging", "messagingv2")[number % 2])

    assert as_told(samples_of(ours, running, len(SAID))) == set().union(*(told(one) for one in SAID.values()))


@pytest.mark.parametrize("driver", ["messaging", "messagingv2"])
def test_of_novas_two_forms_the_one_that_is_asked_for_is_metered_and_the_other_counted(
    amqp_url: str, start: Start, driver: str
) -> None:
    ours = OurBus(amqp_url)
    ours.listen()
    running = start(amqp_url, amqp_url, load(VERSIONED, {}))
    assert reads(running, "nova", seconds=60)

    say(amqp_url, "nova", "compute.instance.create.end", driver)
    say(amqp_url, "nova", "instance.create.end", driver, topic="versioned_notifications")
    say(amqp_url, "nova", "metrics.update", driver, topic="versioned_notifications")

    samples = samples_of(ours, running, 3)
    assert as_told(samples) == told("instance.create.end") | told("metrics.update")
    assert (running.consumer.tally.unread, running.consumer.tally.unwanted) == (1, 0)
    assert "1 in the form of nova that is not metered" in str(running.consumer.tally)
    assert {sample["user_id"] for sample in samples} == {USER, None}
    assert {sample["project_id"] for sample in samples} == {PROJECT, None}
