"""Many brokers, many topics, TLS: what the consumer listens to, over real brokers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from collector.consumer import consume
from collector.notification import Notification
from embedded.services import free_port
from metering.counters import Counter, Kind, Meter
from metering.publish import Publisher
from tests.collector.bodies import recorded
from tests.collector.certificates import Authority
from tests.collector.conftest import Start
from tests.collector.line import (
    SIGNER,
    OurBus,
    Services,
    celery_app,
    eventually,
    index_of,
    reads,
    volumes,
)
from tests.collector.notifier import notify
from tests.services import RabbitMQ
from tests.stage import Stage


class Everything:
    """A listener of several priorities and a topic of its service's own."""

    meters = (Meter("said", Kind.DELTA, "notification"),)
    exchange = "nova"
    event_types = ("*",)
    topics = ("notifications.info", "notifications.error", "versioned_notifications.info")

    def counters(self, notification: Notification) -> Iterator[Counter]:
        metadata = {"priority": notification.priority}
        yield self.meters[0].read(1, resource_id=notification.event_type, resource_metadata=metadata)


def test_priorities_and_topics_are_heard_as_the_listeners_say(amqp_url: str, start: Start) -> None:
    ours = OurBus(amqp_url)
    ours.listen()
    running = start(amqp_url, amqp_url, index_of(everything=Everything()))
    assert reads(running, "nova")

    notify(amqp_url, "nova", ("a", {}), ("b", {}), priority="error")
    notify(amqp_url, "nova", ("c", {}), topic="versioned_notifications")
    notify(amqp_url, "nova", ("d", {}), priority="warn")
    notify(amqp_url, "nova", ("e", {}), topic="other")
    notify(amqp_url, "nova", ("f", {}))

    assert eventually(lambda: running.acknowledged == 4)
    heard = {sample["resource_id"]: sample["resource_metadata"]["priority"] for sample in ours.samples()}
    assert heard == {"a": "error", "b": "error", "c": "info", "f": "info"}


@pytest.mark.parametrize("form", ["gzip", "bzip2"])
def test_bodies_that_oslo_messaging_compressed_are_read(amqp_url: str, start: Start, form: str) -> None:
    ours = OurBus(amqp_url)
    ours.listen()
    running = start(amqp_url, amqp_url)
    assert reads(running, "cinder")

    said = ("volume.exists", recorded("volume.exists")["payload"])
    notify(amqp_url, "cinder", said, options={"kombu_compression": form})

    assert eventually(lambda: running.acknowledged == 1)
    assert len(ours.samples()) == 2


def test_a_broker_that_is_away_holds_up_no_other(stage: Stage, rabbitmq: RabbitMQ) -> None:
    one, other, our_url = stage.rabbitmq.vhost(), stage.rabbitmq.vhost(), stage.rabbitmq.vhost()
    away = f"amqp://guest:guest@127.0.0.1:{free_port()}//"
    rabbitmq.wait_ready()
    ours, stop = OurBus(our_url), threading.Event()
    ours.listen()
    with celery_app(our_url) as app:
        publisher = Publisher(app, SIGNER, "openstack")
        thread = threading.Thread(target=consume, args=((one, away, other), index_of(), publisher, stop))
        thread.start()
        try:
            for number, url in enumerate((one, other)):
                assert eventually(lambda url=url: _is_read(url))  # type: ignore[misc] # bound at once
                Services(url).say("cinder", *volumes(10, start=10 * number))
            came: set[str] = set()
            assert eventually(lambda: len(came_in(ours, came)) == 40)
        finally:
            stop.set()
            thread.join(30)


def came_in(ours: OurBus, before: set[str]) -> set[str]:
    before.update(sample["message_id"] for sample in ours.samples())
    return before


def _is_read(url: str) -> bool:
    try:
        Services(url).waiting("cinder")
    except Exception:  # noqa: BLE001 # there is no such queue yet
        return False
    return True


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_url(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker that speaks TLS alone with clients that it knows, under a name of its own."""
    port, (certificate, key) = free_port(), authority.certify("rabbit.example.org")
    settings = (
        f"listeners.ssl.1 = 127.0.0.1:{port}",
        f"ssl_options.cacertfile = {authority.file}",
        f"ssl_options.certfile = {certificate}",
        f"ssl_options.keyfile = {key}",
        "ssl_options.verify = verify_peer",
        "ssl_options.fail_if_no_peer_cert = true",
    )
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"), free_port(), settings)
    try:
        broker.start()
        yield f"amqps://guest:guest@127.0.0.1:{port}//"
    finally:
        broker.close()


def test_a_broker_that_speaks_tls_is_read_and_must_prove_its_name(
    authority: Authority, tls_url: str, amqp_url: str, start: Start
) -> None:
    ours, (certificate, key) = OurBus(amqp_url), authority.certify("consumer")
    ours.listen()
    believed = f"?cacertfile={authority.file}&certfile={certificate}&keyfile={key}"
    url = f"{tls_url}{believed}&server_name_indication=rabbit.example.org"
    running = start(url, amqp_url)
    assert reads(running, "cinder")

    Services(url).say("cinder", *volumes(300))

    assert eventually(lambda: running.acknowledged == 300, seconds=20)
    assert len({sample["message_id"] for sample in ours.samples()}) == 600
    for refused in (
        f"{tls_url}{believed}&server_name_indication=elsewhere.example.org",
        f"{tls_url}?cacertfile={authority.file}&server_name_indication=rabbit.example.org",
        f"{tls_url}?certfile={certificate}&keyfile={key}&server_name_indication=rabbit.example.org",
    ):
        stranger = start(refused, amqp_url)
        assert not reads(stranger, "cinder", seconds=1.0)
