"""The services that the tests stand on do what the tests believe of them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import amqp
import kombu
import libvirt
import psycopg2
import pytest
from django.db import connection

from embedded.services import Postgres, Redis
from tests.libvirt_guests import Guest
from tests.libvirt_lab import LibvirtLab
from tests.services import RabbitMQ

QUORUM = {"x-queue-type": "quorum"}


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)


def put(url: str, text: str) -> None:
    with kombu.Connection(url, transport_options={"confirm_publish": True}) as connection:
        queue = kombu.Queue("kept", kombu.Exchange("kept"), "kept", queue_arguments=QUORUM)(connection.default_channel)
        queue.declare()
        connection.Producer().publish(text, exchange="kept", routing_key="kept", delivery_mode=2)


def take(url: str) -> str:
    with kombu.Connection(url) as connection:
        message = kombu.Queue("kept", no_declare=True)(connection.default_channel).get(no_ack=True)
        assert message is not None
        return str(message.payload)


def test_what_rabbitmq_confirmed_outlives_its_crash(rabbitmq: RabbitMQ) -> None:
    url = rabbitmq.vhost()
    put(url, "remembered")

    rabbitmq.kill()
    rabbitmq.start()

    assert take(url) == "remembered"


def test_a_fresh_virtual_host_shares_no_queue_with_another(rabbitmq: RabbitMQ) -> None:
    first, second = rabbitmq.vhost(), rabbitmq.vhost()
    put(first, "for the first")

    with pytest.raises(amqp.NotFound, match="no queue"):
        take(second)


def test_more_virtual_hosts_are_made_than_the_broker_started_with(rabbitmq: RabbitMQ) -> None:
    while rabbitmq.spare_vhosts:
        rabbitmq.vhost()

    url = rabbitmq.vhost()

    put(url, "hello")
    assert take(url) == "hello"


def test_what_redis_answered_outlives_its_crash(redis: Redis, redis_url: str) -> None:
    with kombu.Connection(redis_url) as broker:
        broker.SimpleQueue("kept").put("remembered")

    redis.daemon.kill()
    redis.start()

    with kombu.Connection(redis_url) as broker:
        assert broker.SimpleQueue("kept").get(timeout=5).payload == "remembered"


def test_what_postgres_committed_outlives_its_crash(postgres: Postgres) -> None:
    url = postgres.create("crash")
    with psycopg2.connect(url) as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    session.close()

    postgres.daemon.kill()
    postgres.start()

    with psycopg2.connect(url) as session, session.cursor() as cursor:
        cursor.execute("SELECT answer FROM kept")
        assert cursor.fetchone() == (42,)
    session.close()


def test_another_process_reaches_the_database_of_the_tests(database_url: str) -> None:
    with psycopg2.connect(database_url) as session, session.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone() == (connection.settings_dict["NAME"],)
    session.close()


@pytest.fixture
def guest(libvirt_lab: LibvirtLab) -> Iterator[Guest]:
    guest = Guest("guest-of-the-lab-tests")
    libvirt_lab.define(guest)
    libvirt_lab.start(guest)
    yield guest
    libvirt_lab.remove(guest)


def requests_read(lab: LibvirtLab, guest: Guest) -> int:
    connection = libvirt.openReadOnly(lab.read_only_uri)
    try:
        return int(connection.lookupByUUIDString(guest.uuid).blockStats("vda")[0])
    finally:
        connection.close()


def test_a_guest_reads_its_disk_again_and_again(libvirt_lab: LibvirtLab, guest: Guest) -> None:
    before = requests_read(libvirt_lab, guest)

    until(lambda: requests_read(libvirt_lab, guest) > before + 1)


def test_guests_outlive_their_daemon(libvirt_lab: LibvirtLab, guest: Guest) -> None:
    libvirt_lab.stop_daemon(signal.SIGKILL)
    libvirt_lab.start_daemon()

    before = requests_read(libvirt_lab, guest)
    until(lambda: requests_read(libvirt_lab, guest) > before)


def test_a_frozen_guest_gives_no_answer_until_it_is_thawed(libvirt_lab: LibvirtLab, guest: Guest) -> None:
    libvirt_lab.freeze(guest)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(requests_read, libvirt_lab, guest)
        try:
            with pytest.raises(TimeoutError):
                asked.result(timeout=2.5)
        finally:
            libvirt_lab.thaw(guest)
        before = asked.result()

    until(lambda: requests_read(libvirt_lab, guest) > before)
