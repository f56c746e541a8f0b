"""The one door out of a plugin host: a batch is sent when the broker says that it has it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import kombu
import pytest
from celery import Celery

from embedded.services import free_port
from metering import environment, messages
from metering.errors import BadSetting, BrokerAway
from metering.publish import Publisher, publisher_of
from metering.signing import Keyring
from metering.topology import SAMPLES, SAMPLES_IN
from tests.collector.line import celery_app
from tests.factories import KEYS, reading

SECRET = b"the first secret of all"
TOLD = {"METERING_NODE": "host-1", "METERING_BROKER_URL": "amqp://broker//"}


@pytest.fixture
def app(rabbitmq_url: str) -> Iterator[Celery]:
    with celery_app(rabbitmq_url) as app:
        yield app


def publisher(app: Celery) -> Publisher:
    return Publisher(app, KEYS.signer("compute/host-1"), "openstack")


def test_publish_sends_what_it_packed_and_says_how_much_went_out(app: Celery, rabbitmq_url: str) -> None:
    with kombu.Connection(rabbitmq_url) as broker:
        samples = SAMPLES(broker.default_channel)
        samples.declare()

        sent = publisher(app).publish([*(reading(resource=f"r-{n}") for n in range(1_500)), reading(meter="")])

        assert sent == 1_500
        texts: list[str] = []
        while len(texts) < 2:
            message = samples.get(no_ack=True)
            if message is not None:
                [[text], kwargs, _] = json.loads(message.body or "")
                assert (message.headers["task"], kwargs) == ("metering.record_samples", {})
                texts.append(text)
    assert [messages.read(text).header.samples for text in texts] == [1_000, 500]


def test_nothing_to_publish_asks_no_broker() -> None:
    with celery_app(f"amqp://127.0.0.1:{free_port()}//") as app:
        assert publisher(app).publish([]) == 0
        assert publisher(app).publish([reading(meter="")]) == 0


def test_a_broker_where_nobody_stores_samples_has_not_taken_the_batch(app: Celery, rabbitmq_url: str) -> None:
    with kombu.Connection(rabbitmq_url) as broker:
        SAMPLES_IN(broker.default_channel).declare()

        with pytest.raises(BrokerAway, match="NO_ROUTE"):
            publisher(app).publish([reading()])
        SAMPLES(broker.default_channel).declare()  # a storage worker has come

        assert publisher(app).publish([reading()]) == 1


def test_a_broker_that_cannot_be_reached_has_not_taken_the_batch() -> None:
    with (
        celery_app(f"amqp://127.0.0.1:{free_port()}//") as app,
        pytest.raises(BrokerAway, match="did not take a batch"),
    ):
        publisher(app).send("a batch")


def test_a_plugin_host_signs_with_its_own_key(app: Celery) -> None:
    key = Keyring({"k1": SECRET}).signer("compute/host-1").key
    told = {**TOLD, "METERING_ROLE": "compute", "METERING_NODE_KEY": f"k1:{key.hex()}", "METERING_SOURCE": "lab"}

    made = publisher_of(app, environment.load(told))

    assert made.signer == Keyring({"k1": SECRET}).signer("compute/host-1")
    assert made.source == "lab"


def test_an_operator_s_command_signs_as_the_api_with_the_first_secret(app: Celery) -> None:
    told = {**TOLD, "METERING_SECRETS": f"k1:{SECRET.decode()},k0:an older secret of all"}

    assert publisher_of(app, environment.load(told)).signer == Keyring({"k1": SECRET}).signer("api/host-1")


def test_without_a_key_and_without_secrets_nothing_signs(app: Celery) -> None:
    with pytest.raises(BadSetting, match=r"METERING_NODE_KEY \(of api/host-1\) is not set, nor METERING_SECRETS"):
        publisher_of(app, environment.load(TOLD))
