"""Processes, brokers and the database die while samples are on their way; each is found once, or shown as a gap."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models import Count

from embedded.services import Postgres
from metering import messages
from metering.counters import Counter, Kind
from metering.models import PollSlot, Quarantine, Sample, Series
from metering.publish import Publisher
from metering.store import polls
from metering.store.polls import Moment, Polled
from tests.collector.line import Services, celery_app
from tests.collector.notifier import notify
from tests.installation import KEYRING, NODE, Installation, installed, polls_read, wait_for
from tests.services import RabbitMQ

POLLS, GUESTS = 60, 40


@pytest.fixture(params=["rabbitmq", "redis"])
def broker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def installation(
    broker: str, request: pytest.FixtureRequest, tmp_path: Path, database_url: str
) -> Iterator[Installation]:
    url = request.getfixturevalue(f"{broker}_url")
    with installed(tmp_path, url, database_url, METERING_PATIENCE_SECONDS="2") as installation:
        yield installation


@contextlib.contextmanager
def a_node(installation: Installation) -> Iterator[Publisher]:
    """A node's own way out: what a compute worker uses, without the worker."""
    with celery_app(installation.broker_url) as app:
        yield Publisher(app, KEYRING.signer(f"compute/{NODE}"), "openstack")


def a_poll(publisher: Publisher, slot: int) -> list[str]:
    """What one poll of a host sends: two meters of each guest."""
    read_at = datetime.now(UTC) - timedelta(seconds=POLLS - slot)
    counters = [
        Counter(meter, Kind.GAUGE, "B", slot, "u", "p", f"guest-{guest}", read_at, {"n": guest}, f"poll {slot}")
        for guest in range(GUESTS)
        for meter in ("memory", "disk")
    ]
    return publisher.pack(counters, messages.Poll("default", slot, read_at=read_at, guests=GUESTS))


def expect_polls() -> None:
    now = datetime.now(UTC)
    moments = [Moment(slot, now - timedelta(seconds=POLLS - slot), now) for slot in range(POLLS)]
    polls.expect("default", moments, [Polled(NODE, 1, now - timedelta(hours=1))], "", now)


def stored_slots() -> dict[float, int]:
    """How many samples there are of each poll, whose slot is their volume."""
    return dict(Sample.objects.exclude(series__meter="last").values_list("volume").annotate(Count("pk")))


def received_slots() -> set[float]:
    return {float(poll.slot) for poll in PollSlot.objects.filter(received=1)}


def test_a_storage_worker_that_is_killed_again_and_again_stores_every_sample_once(
    installation: Installation, broker: str
) -> None:
    """RabbitMQ gives each batch again. Redis may lose one: then its poll is a gap, and no row is there twice."""
    expect_polls()
    installation.start("samples")
    with a_node(installation) as node:
        for slot in range(POLLS):
            for text in a_poll(node, slot):
                node.send(text)
            if slot % 12 == 11:
                time.sleep(0.05)
                installation.kill("samples")
                installation.start("samples")
        for text in node.pack([Counter("last", Kind.GAUGE, "", 1, None, None, "r", datetime.now(UTC), {}, "last")]):
            node.send(text)
    wait_for(Series.objects.filter(meter="last").exists, "what was sent last")
    if broker == "rabbitmq":
        wait_for(lambda: PollSlot.objects.filter(received=1).count() == POLLS, "every poll received")

    # What is missing is a poll that was expected and not received. Two queries: batches may still come in between.
    wait_for(lambda: stored_slots().keys() == received_slots(), "the samples of each poll received, and of no other")
    assert set(stored_slots().values()) <= {2 * GUESTS}  # a batch is stored whole, and once
    assert PollSlot.objects.count() == POLLS
    assert set(PollSlot.objects.filter(received=1).values_list("samples", flat=True)) == {2 * GUESTS}
    assert not Quarantine.objects.exists()


def test_a_consumer_that_is_killed_again_and_again_under_load_makes_each_sample_once(
    tmp_path: Path, rabbitmq_url: str, database_url: str
) -> None:
    with installed(tmp_path, rabbitmq_url, database_url) as installation:
        installation.start("samples", "consumer")
        total, kills = 3_000, 5
        payload = {"tenant_id": "p", "user_id": "u", "size": 1, "volume_type": "t", "display_name": "v"}
        events = [("volume.create.end", {**payload, "volume_id": f"v-{number}"}) for number in range(total)]
        installation.kill("consumer")
        for start in range(0, total, total // kills):
            notify(rabbitmq_url, "cinder", *events[start : start + total // kills])
            installation.start("consumer")  # it reads: what it took in this moment it has not all acknowledged
            installation.kill("consumer")
        assert Services(rabbitmq_url).waiting("cinder") > 0
        installation.start("consumer")
        sizes = Sample.objects.filter(series__meter="volume.size")
        wait_for(lambda: sizes.count() == total, "a sample of each volume")
        wait_for(lambda: Services(rabbitmq_url).waiting("cinder") == 0, "every notification acknowledged")

        assert sizes.values("series__resource_id").distinct().count() == total
        assert Sample.objects.count() == 3 * total
        assert not Quarantine.objects.exists()


def test_a_poll_that_was_read_while_the_broker_was_away_arrives_once(
    tmp_path: Path, rabbitmq: RabbitMQ, rabbitmq_url: str, database_url: str
) -> None:
    """The broker dies after the order was given; the host keeps the reading, also over its own death."""
    with installed(tmp_path, rabbitmq_url, database_url) as installation:
        installation.start("samples", "control", "compute")
        installation.start("beat")
        wait_for(lambda: PollSlot.objects.filter(received=1).count() >= 2, "two polls received")
        before = PollSlot.objects.filter(received=1).latest("slot").slot
        rabbitmq.kill()
        time.sleep(2)
        rabbitmq.start()
        wait_for(lambda: PollSlot.objects.filter(received=1, slot__gt=before + 3).count() >= 3, "polls after it", 90)
        installation.stop("beat")

        # Each received poll is whole, each other one is shown; no reading is there twice.
        cpu = Sample.objects.filter(series__meter="cpu")
        wait_for(lambda: cpu.count() == polls_read().count(), "a reading for each poll received")
        assert cpu.values("ts").distinct().count() == cpu.count()


def test_a_database_that_is_away_is_waited_for(installation: Installation, postgres: Postgres) -> None:
    """For longer than a worker waits: batches are parked on the broker meanwhile."""
    expect_polls()
    installation.start("samples")
    postgres.daemon.stop()
    with a_node(installation) as node:
        for slot in range(6):
            for text in a_poll(node, slot):
                node.send(text)
    wait_for(lambda: "a batch is parked" in installation.log("samples"), "a batch parked")
    postgres.start()
    connection.close()  # ours broke as well
    wait_for(lambda: PollSlot.objects.filter(received=1).count() == 6, "every poll received")

    assert Sample.objects.count() == 6 * 2 * GUESTS
    assert not Quarantine.objects.exists()


def test_a_batch_sent_many_times_is_stored_and_counted_once(installation: Installation) -> None:
    expect_polls()
    installation.start("samples")
    with a_node(installation) as node:
        texts = a_poll(node, 1)
        for text in [*texts, *texts, *texts]:
            node.send(text)
    done = "80 known"
    wait_for(lambda: installation.log("samples").count(done) == 2, "two repeats found")

    assert Sample.objects.count() == 2 * GUESTS
    assert [poll.samples for poll in PollSlot.objects.filter(received=1)] == [2 * GUESTS]
