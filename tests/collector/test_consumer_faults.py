"""When a broker, an exchange or a queue is not there: what was said is kept, and comes out later."""

from __future__ import annotations

from kombu import Connection

from collector.batch import MOST_HELD
from collector.bus import queue_of
from collector.consumer import PREFETCH
from embedded.services import Redis
from tests.collector.bodies import enveloped, recorded
from tests.collector.conftest import Start
from tests.collector.line import (
    OurBus,
    Services,
    bytes_of,
    channel_of,
    eventually,
    reads,
    volumes,
)
from tests.services import RabbitMQ


def test_nothing_is_acknowledged_while_nobody_takes_our_samples(amqp_url: str, start: Start) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    running = start(amqp_url, amqp_url)
    assert reads(running, "cinder")

    services.say("cinder", *volumes(PREFETCH + 50))
    assert eventually(lambda: services.waiting("cinder") == 50)  # no more than the prefetch is taken
    assert running.acknowledged == 0

    ours.listen()
    assert eventually(lambda: running.acknowledged == PREFETCH + 50)
    assert len({sample["message_id"] for sample in ours.samples()}) == 2 * (PREFETCH + 50)


def test_our_broker_may_die_and_come_back(amqp_url: str, redis_url: str, redis: Redis, start: Start) -> None:
    ours, services = OurBus(redis_url), Services(amqp_url)
    ours.listen()
    running = start(amqp_url, redis_url)
    assert reads(running, "cinder")
    services.say("cinder", *volumes(1))
    assert eventually(lambda: running.acknowledged == 1)

    redis.daemon.kill()
    services.say("cinder", *volumes(40))
    assert eventually(lambda: services.waiting("cinder") == 0)
    assert running.acknowledged == 1
    redis.start()

    assert eventually(lambda: running.acknowledged == 41, seconds=30)
    assert len({sample["message_id"] for sample in ours.samples()}) == 80


def test_the_services_broker_may_die_and_come_back(
    amqp_url: str, redis_url: str, rabbitmq: RabbitMQ, start: Start
) -> None:
    ours, services = OurBus(redis_url), Services(amqp_url)
    ours.listen()
    running = start(amqp_url, redis_url)
    assert reads(running, "cinder")
    services.say("cinder", *volumes(30))

    rabbitmq.kill()
    assert eventually(lambda: not running.consumer.reading)
    rabbitmq.start()
    assert eventually(lambda: "cinder" in running.consumer.reading, seconds=40)
    services.say("cinder", recorded("volume.create.end"))

    assert eventually(lambda: running.acknowledged >= 31, seconds=40)
    assert len({sample["message_id"] for sample in ours.samples()}) == 62


def test_what_cannot_be_kept_is_not_acknowledged(amqp_url: str, start: Start) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    running = start(amqp_url, amqp_url)
    assert reads(running, "cinder")

    services.say_raw("cinder", b"not json")
    assert not eventually(lambda: running.acknowledged, seconds=1.0)
    running.end()
    assert services.waiting("cinder") == 1

    ours.listen()
    again = start(amqp_url, amqp_url)
    assert eventually(lambda: again.acknowledged == 1)
    assert [bytes_of(dead) for dead in ours.dead()] == [b"not json"]


def test_an_exchange_that_cannot_be_had_holds_up_no_other_and_is_read_once_it_can(amqp_url: str, start: Start) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    ours.listen()
    with Connection(amqp_url) as connection:
        # A queue of our name that belongs to another connection alone: it can be neither declared nor bound.
        channel_of(connection).queue_declare(queue_of("glance"), exclusive=True)
        running = start(amqp_url, amqp_url)
        assert reads(running, "cinder", "nova")
        assert "glance" not in running.consumer.reading

        services.say("cinder", recorded("volume.exists"))
        assert eventually(lambda: running.acknowledged == 1)

    assert reads(running, "glance")
    services.say("glance", recorded("image.upload"))
    assert eventually(lambda: running.acknowledged == 2)


def test_an_exchange_that_was_made_anew_is_bound_again(amqp_url: str, start: Start) -> None:
    OurBus(amqp_url).listen()
    running = start(amqp_url, amqp_url)
    assert reads(running, "cinder")

    with Connection(amqp_url) as connection:
        channel_of(connection).exchange_delete("cinder")
        channel_of(connection).exchange_declare("cinder", "topic", durable=True, auto_delete=False)

    def heard() -> bool:
        with Connection(amqp_url) as connection:
            connection.Producer(auto_declare=False).publish(
                enveloped(recorded("volume.exists")), exchange="cinder", routing_key="notifications.info",
                content_type="application/json", content_encoding="utf-8",
            )  # fmt: skip
        return running.acknowledged > 0

    assert eventually(heard)


def test_a_queue_deleted_under_the_consumer_is_made_again(amqp_url: str, start: Start) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    ours.listen()
    running = start(amqp_url, amqp_url)
    assert reads(running, "cinder")

    with Connection(amqp_url) as connection:
        channel_of(connection).queue_delete(queue_of("cinder"))
    assert eventually(lambda: not running.consumer.reading)
    assert reads(running, "cinder")

    services.say("cinder", recorded("volume.exists"))
    assert eventually(lambda: running.acknowledged == 1)


def test_a_broker_in_alarm_blocks_the_consumer_and_what_waits_goes_out_after_it(
    amqp_url: str, rabbitmq: RabbitMQ, start: Start
) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    ours.listen()
    first = start(amqp_url, amqp_url)
    assert reads(first, "cinder")
    first.end()
    total = PREFETCH + 200
    services.say("cinder", *volumes(total))

    rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        running = start(amqp_url, amqp_url)
        assert eventually(lambda: services.waiting("cinder") == 200)  # no more than the prefetch is taken
        assert running.acknowledged == 0
    finally:
        rabbitmq.ctl("set_vm_memory_high_watermark", "0.4")

    assert eventually(lambda: running.acknowledged == total, seconds=60)
    assert len({sample["message_id"] for sample in ours.samples()}) == 2 * total


def test_a_queue_of_ours_that_is_full_refuses_and_is_tried_again(
    amqp_url: str, rabbitmq: RabbitMQ, start: Start
) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    ours.listen()
    vhost = amqp_url.rpartition("/")[2]
    rabbitmq.ctl("set_policy", "-p", vhost, "full", "^samples$", '{"max-length":1}', "--apply-to", "queues")
    try:
        running = start(amqp_url, amqp_url)
        assert reads(running, "cinder")
        samples: set[str] = set()
        for number in range(6):
            services.say("cinder", *volumes(10, start=10 * number))
        assert not eventually(lambda: running.acknowledged == 60, seconds=3.0)
    finally:
        rabbitmq.ctl("clear_policy", "-p", vhost, "full")

    assert eventually(lambda: running.acknowledged == 60, seconds=40)
    samples |= {sample["message_id"] for sample in ours.samples()}
    assert len(samples) == 120


def test_our_rabbitmq_may_die_and_come_back(amqp_url: str, redis_url: str, rabbitmq: RabbitMQ, start: Start) -> None:
    ours, services = OurBus(amqp_url), Services(redis_url)
    ours.listen()
    running = start(redis_url, amqp_url)
    assert reads(running, "cinder")
    services.say("cinder", *volumes(1))
    assert eventually(lambda: running.acknowledged == 1)

    rabbitmq.kill()
    services.say("cinder", *volumes(40))
    assert not eventually(lambda: running.acknowledged > 1, seconds=1.0)
    rabbitmq.start()

    assert eventually(lambda: running.acknowledged == 41, seconds=60)
    assert len({sample["message_id"] for sample in ours.samples()}) == 80


def test_bodies_that_cannot_be_kept_fill_no_memory_while_our_broker_is_away(amqp_url: str, start: Start) -> None:
    ours, services = OurBus(amqp_url), Services(amqp_url)
    first = start(amqp_url, amqp_url)
    assert reads(first, "cinder")
    first.end()
    for _ in range(20):
        services.say_raw("cinder", b"x" * (5 << 20))

    running = start(amqp_url, amqp_url)  # nobody listens for dead letters yet
    assert eventually(lambda: running.held >= MOST_HELD, seconds=30)
    assert running.held < MOST_HELD + (6 << 20)
    assert running.acknowledged == 0

    ours.listen()
    assert eventually(lambda: running.acknowledged == 20, seconds=60)
    assert len(ours.dead()) == 20
