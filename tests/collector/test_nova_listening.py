from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kombu import Connection

from collector.nova_listening import LABEL, examine
from metering.doctor.finding import Finding, Verdict
from tests.collector.bodies import enveloped, recorded
from tests.collector.line import channel_of
from tests.commands import manage

TOPICS = {"compute.instance.exists": "notifications.info", "instance.exists": "versioned_notifications.info"}


@contextmanager
def nova_saying(url: str, *event_types: str) -> Iterator[None]:
    """A nova that says these again and again: who listens hears them whenever he begins."""
    done = threading.Event()

    def say() -> None:
        with Connection(url) as connection:
            channel_of(connection).exchange_declare("nova", "topic", durable=False, auto_delete=False)
            said.set()
            producer = connection.Producer(auto_declare=False)
            while not done.wait(0.05):
                for event_type in event_types:
                    body = enveloped(recorded(event_type)) if event_type in TOPICS else json.dumps([event_type])
                    topic = TOPICS.get(event_type, "notifications.info")
                    producer.publish(body, exchange="nova", routing_key=topic, content_type="application/json")

    said = threading.Event()
    thread = threading.Thread(target=say)
    thread.start()
    assert said.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join(10)


def found(url: str, form: str, *event_types: str, seconds: float = 20) -> Finding:
    with nova_saying(url, *event_types):
        [finding] = examine([url], form, seconds)
    assert finding.about == LABEL
    return finding


@pytest.mark.parametrize("form", ["unversioned", "versioned"])
def test_a_nova_that_sends_what_is_metered_is_well(amqp_url: str, form: str) -> None:
    finding = found(amqp_url, form, "not even a notification", *TOPICS)

    assert finding.verdict is Verdict.GOOD
    assert f"nova sends the {form} form" in str(finding)


@pytest.mark.parametrize(
    ("form", "said", "other"),
    [("unversioned", "instance.exists", "versioned"), ("versioned", "compute.instance.exists", "unversioned")],
)
def test_a_nova_that_sends_only_the_other_form_is_warned_of(amqp_url: str, form: str, said: str, other: str) -> None:
    finding = found(amqp_url, form, said, seconds=1)

    assert finding.verdict is Verdict.WRONG
    assert f"set METERING_NOVA_NOTIFICATIONS={other}" in str(finding)


def test_a_silent_nova_is_only_noted(amqp_url: str) -> None:
    assert "nova said nothing" in str(found(amqp_url, "versioned", seconds=0.2))


def test_where_there_is_no_nova_that_is_noted(amqp_url: str) -> None:
    [finding] = examine([amqp_url, "redis://127.0.0.1:1"], "versioned", 0.2)

    assert "exchange nova cannot be listened to" in str(finding)
    assert "guest:guest" not in str(finding)


def test_the_doctor_listens_where_notifications_are_read(amqp_url: str) -> None:
    told = manage("doctor", status=1, METERING_NOTIFICATION_URLS=amqp_url, METERING_BROKER_URL="")

    assert "nova's notifications: " in told
    assert "exchange nova cannot be listened to" in told
