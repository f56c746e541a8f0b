from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from collector.notification import Notification
from metering.counters import Counter, Kind, Meter
from tests.collector.bodies import body, enveloped, recorded
from tests.collector.conftest import Start
from tests.collector.line import (
    LISTENERS,
    OurBus,
    Services,
    bytes_of,
    eventually,
    index_of,
    reads,
    volumes,
)
from tests.collector.notifier import notify


class Broken:
    """A listener that fails after its first counter."""

    meters = (Meter("half", Kind.GAUGE, "x"),)
    exchange = "cinder"
    event_types = ("volume.*",)

    def counters(self, notification: Notification) -> Iterator[Counter]:
        yield self.meters[0].read(1, resource_id="r")
        raise LookupError("no such thing")


def test_what_a_service_says_comes_out_as_samples(broker_url: str, start: Start) -> None:
    ours, services = OurBus(broker_url), Services(broker_url)
    ours.listen()
    running = start(broker_url, broker_url)
    assert reads(running, "cinder", "glance", "nova")

    services.say("cinder", recorded("volume.create.end"))
    services.say("nova", recorded("compute.instance.create.end"), recorded("compute.instance.update"))
    services.say("glance", recorded("image.upload"))

    assert eventually(lambda: running.acknowledged == 4)
    samples = ours.samples()
    assert {sample["counter_name"]: sample["counter_volume"] for sample in samples} == {
        "volume": 1,
        "volume.size": 5,
        "instance": 1,
        "memory": 2048,
        "vcpus": 1,
        "disk.root.size": 20,
        "disk.ephemeral.size": 10,
        "compute.instance.booting.time": 11,
        "image.size": 356515840,
    }
    assert {sample["publisher_id"] for sample in samples} == {"consumer/test"}
    assert ours.dead() == []
    assert services.waiting("cinder") == services.waiting("nova") == services.waiting("glance") == 0


@pytest.mark.parametrize("driver", ["messaging", "messagingv2"])
def test_both_drivers_of_oslo_messaging_are_understood(amqp_url: str, start: Start, driver: str) -> None:
    ours = OurBus(amqp_url)
    ours.listen()
    running = start(amqp_url, amqp_url)
    assert reads(running, "nova")
    payload = recorded("compute.instance.create.end")["payload"]

    notify(amqp_url, "nova", ("compute.instance.create.end", payload), driver=driver, context={"auth_token": "secret"})

    assert eventually(lambda: running.acknowledged == 1)
    samples = ours.samples()
    assert {sample["counter_name"] for sample in samples} >= {"instance", "memory", "vcpus"}
    assert {sample["resource_id"] for sample in samples} == {payload["instance_id"]}


@pytest.mark.parametrize("options", [{"amqp_durable_queues": "true"}, {"amqp_auto_delete": "true"}])
def test_an_exchange_that_its_service_made_with_other_flags_is_read(
    amqp_url: str, start: Start, options: dict[str, str]
) -> None:
    OurBus(amqp_url).listen()
    said = ("volume.exists", recorded("volume.exists")["payload"])
    notify(amqp_url, "cinder", said, options=options)

    running = start(amqp_url, amqp_url)
    assert reads(running, "cinder", "glance", "nova")
    notify(amqp_url, "cinder", said, options=options)

    assert eventually(lambda: running.acknowledged == 1)


def test_what_is_said_while_no_consumer_runs_waits_for_the_next(broker_url: str, start: Start) -> None:
    ours, services = OurBus(broker_url), Services(broker_url)
    ours.listen()
    first = start(broker_url, broker_url)
    assert reads(first, "cinder")
    first.end()

    services.say("cinder", *volumes(3))
    second = start(broker_url, broker_url)

    assert eventually(lambda: second.acknowledged == 3)
    assert len(ours.samples()) == 6


def test_a_notification_delivered_twice_gives_the_same_samples(amqp_url: str, start: Start) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    ours.listen()
    running = start(amqp_url, amqp_url)
    assert reads(running, "cinder")

    services.say("cinder", *[recorded("volume.exists")] * 5)

    assert eventually(lambda: running.acknowledged == 5)
    samples = ours.samples()
    assert len(samples) == 10
    assert len({sample["message_id"] for sample in samples}) == 2


def test_many_notifications_travel_in_few_batches(amqp_url: str, start: Start) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    ours.listen()
    first = start(amqp_url, amqp_url)
    assert reads(first, "cinder")
    first.end()
    services.say("cinder", *volumes(300))

    running = start(amqp_url, amqp_url)

    assert eventually(lambda: running.acknowledged == 300)
    batches = ours.batches()
    assert sum(len(batch) for batch in batches) == 600
    assert len(batches) <= 10


@pytest.mark.parametrize(
    ("raw", "properties"),
    [
        (b"not json at all", {}),
        (b"\x80\x04\x95\x05", {"content_type": "application/x-python-serialize"}),
        (b"plain", {"headers": {"compression": "application/x-gzip"}}),
        (enveloped(recorded("volume.exists"), "3.0"), {}),
        (body({"event_type": "volume.exists", "payload": {}}), {}),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, {}),
    ],
)
def test_what_cannot_be_read_is_kept_as_it_came_and_costs_no_other(
    broker_url: str, start: Start, raw: bytes, properties: dict[str, Any]
) -> None:
    ours, services = OurBus(broker_url), Services(broker_url)
    ours.listen()
    running = start(broker_url, broker_url)
    assert reads(running, "cinder")

    services.say_raw("cinder", raw, **properties)
    services.say("cinder", recorded("volume.create.end"))

    assert eventually(lambda: running.acknowledged == 2)
    assert len(ours.samples()) == 2
    [dead] = ours.dead()
    assert bytes_of(dead) == raw
    assert dead.content_type == properties.get("content_type", "application/json")
    assert dead.delivery_info["routing_key"] == "notification"
    assert dead.headers["reason"].startswith("malformed: ")
    assert dead.headers["exchange"] == "cinder"
    assert dead.headers["traceback"]
    assert "guest:guest" not in str(dead.headers)


def test_a_listener_that_fails_costs_only_its_own_counters(broker_url: str, start: Start) -> None:
    ours, services = OurBus(broker_url), Services(broker_url)
    ours.listen()
    running = start(broker_url, broker_url, index_of(**LISTENERS, broken=Broken()))
    assert reads(running, "cinder")

    services.say("cinder", recorded("volume.create.end"))

    assert eventually(lambda: running.acknowledged == 1)
    assert {sample["counter_name"] for sample in ours.samples()} == {"volume", "volume.size"}
    [dead] = ours.dead()
    assert dead.headers["reason"] == "listener broken failed"
    assert dead.headers["traceback"] == "LookupError: no such thing"
    assert dead.headers["event_type"] == "volume.create.end"


def test_a_token_in_a_context_is_nowhere_afterwards(amqp_url: str, start: Start) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    ours.listen()
    running = start(amqp_url, amqp_url)
    assert reads(running, "nova")

    services.say("nova", recorded("compute.instance.exists"), recorded("compute.instance.exists", vcpus="many"))

    assert eventually(lambda: running.acknowledged == 2)
    samples, dead = ours.samples(), ours.dead()
    assert (len(samples), len(dead)) == (5, 1)
    assert "gAAAA" not in str(samples)
    assert b"gAAAA" not in bytes_of(dead[0])


def test_event_types_that_nobody_wants_are_acknowledged_and_counted(broker_url: str, start: Start) -> None:
    ours, services = OurBus(broker_url), Services(broker_url)
    ours.listen()
    running = start(broker_url, broker_url)
    assert reads(running, "cinder")

    services.say("cinder", *(recorded("volume.exists") | {"event_type": f"volume.odd{n}"} for n in range(20)))

    assert eventually(lambda: running.acknowledged == 20)
    assert running.consumer.tally.unwanted == 20
    assert ours.samples() == ours.dead() == []


def test_a_consumer_that_is_told_to_stop_delivers_what_it_holds(broker_url: str, start: Start) -> None:
    ours, services = OurBus(broker_url), Services(broker_url)
    ours.listen()
    first = start(broker_url, broker_url)
    assert reads(first, "cinder")
    services.say("cinder", *volumes(150))
    first.end()
    second = start(broker_url, broker_url)

    assert eventually(lambda: first.acknowledged + second.acknowledged == 150, seconds=30)
    second.end()
    assert len({sample["message_id"] for sample in ours.samples()}) == 300
    assert first.acknowledged + second.acknowledged == 150
