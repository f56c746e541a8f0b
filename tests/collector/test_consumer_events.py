"""The consumer with events on: an event goes out beside the samples, and both before the acknowledgement."""

from __future__ import annotations

import json
from typing import Any

from kombu import Connection

from collector.events import files
from collector.events.converter import Converter
from collector.events.keeping import EventKeeper
from collector.index import Index
from metering import event_messages, topology
from metering.event_messages import RECORD_EVENTS
from metering.publish import RECORD_SAMPLES
from tests.collector.bodies import recorded
from tests.collector.conftest import Start
from tests.collector.line import OurBus, Services, bytes_of, eventually, index_of, reads, volumes

BOGGLED = recorded("volume.create.end") | {"event_type": "volume.boggle", "message_id": "boggled"}


def keeping() -> Index:
    return Index(index_of().subscriptions, EventKeeper(Converter(files.load([])[0]), ("cinder", "glance", "nova")))


def arrived(url: str) -> dict[str, list[Any]]:
    """What came to our samples queue, by task."""
    found: dict[str, list[Any]] = {RECORD_SAMPLES: [], RECORD_EVENTS: []}
    with Connection(url) as connection:
        queue = topology.SAMPLES(connection.default_channel)
        while message := queue.get(no_ack=True):
            found[message.headers["task"]].append(json.loads(bytes_of(message))[0][0])
    return found


def ids_of(batches: list[str]) -> list[str]:
    return [row[0] for text in batches for row in event_messages.read(text).rows]


def test_an_event_goes_out_beside_the_samples(broker_url: str, start: Start) -> None:
    OurBus(broker_url).listen()
    services, running = Services(broker_url), start(broker_url, broker_url, keeping())
    assert reads(running, "cinder")

    services.say("cinder", recorded("volume.create.end"), BOGGLED)

    assert eventually(lambda: running.acknowledged == 2)
    came = arrived(broker_url)
    assert sorted(ids_of(came[RECORD_EVENTS])) == sorted([recorded("volume.create.end")["message_id"], "boggled"])
    assert len(came[RECORD_SAMPLES]) == 1
    assert (running.consumer.tally.events, running.consumer.tally.samples) == (2, 2)
    assert "2 events" in str(running.consumer.tally)


def test_what_is_said_with_an_error_becomes_an_event_and_no_sample(amqp_url: str, start: Start) -> None:
    OurBus(amqp_url).listen()
    running = start(amqp_url, amqp_url, keeping())
    assert reads(running, "cinder")

    failed = recorded("volume.create.end") | {"priority": "ERROR"}
    with Connection(amqp_url) as connection:
        connection.Producer(auto_declare=False).publish(
            json.dumps(failed), exchange="cinder", routing_key="notifications.error", content_type="application/json"
        )

    assert eventually(lambda: running.acknowledged == 1)
    came = arrived(amqp_url)
    assert ids_of(came[RECORD_EVENTS]) == [failed["message_id"]]
    assert not came[RECORD_SAMPLES]


def test_nothing_is_acknowledged_while_nobody_takes_our_events(amqp_url: str, start: Start) -> None:
    services, running = Services(amqp_url), start(amqp_url, amqp_url, keeping())
    assert reads(running, "cinder")

    services.say("cinder", BOGGLED)  # no listener wants it: there is an event only
    assert eventually(lambda: not running.consumer.tally.unwanted and services.waiting("cinder") == 0)
    assert not eventually(lambda: running.acknowledged, seconds=1.0)
    running.end()
    assert services.waiting("cinder") == 1

    OurBus(amqp_url).listen()
    again = start(amqp_url, amqp_url, keeping())
    assert eventually(lambda: again.acknowledged == 1)
    assert ids_of(arrived(amqp_url)[RECORD_EVENTS]) == ["boggled"]


def test_many_notifications_share_a_batch_of_events(amqp_url: str, start: Start) -> None:
    OurBus(amqp_url).listen()
    services = Services(amqp_url)
    running = start(amqp_url, amqp_url, keeping())
    assert reads(running, "cinder")

    services.say("cinder", *volumes(150))

    assert eventually(lambda: running.acknowledged == 150)
    came = arrived(amqp_url)[RECORD_EVENTS]
    assert len(set(ids_of(came))) == 150
    assert len(came) < 150


def test_a_dead_letter_of_an_event_that_could_not_be_made_names_the_trait(amqp_url: str, start: Start) -> None:
    ours = OurBus(amqp_url)
    ours.listen()
    services, running = Services(amqp_url), start(amqp_url, amqp_url, keeping())
    assert reads(running, "cinder")

    services.say("cinder", BOGGLED | {"payload": {"size": "huge"}})

    assert eventually(lambda: running.acknowledged == 1)
    [dead] = ours.dead()
    assert dead.headers["reason"] == "its event could not be made: trait size: 'huge' is no integer"
