"""From the broker's dead letters into quarantine: real RabbitMQ, real deaths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import kombu
import pytest
from django.db import DatabaseError, connection, transaction

from embedded.services import Postgres
from metering.models import Quarantine
from metering.store import dead_letters, quarantine
from metering.store.quarantine import Kept
from metering.tasks.intake import keeping_folder
from metering.topology import DEAD, DLX, SAMPLES, SAMPLES_IN


@pytest.fixture
def broker(rabbitmq_url: str) -> Iterator[kombu.Connection]:
    with kombu.Connection(rabbitmq_url) as connected:
        for queue in (DEAD, SAMPLES):
            queue(connected.default_channel).declare()
        yield connected


def publish(
    broker: kombu.Connection, body: bytes, key: str, headers: dict[str, Any] | None = None, **properties: Any
) -> None:
    producer = broker.Producer(exchange=DLX, auto_declare=False)
    properties = {"content_type": "application/json", "content_encoding": "utf-8", **properties}
    producer.publish(body, routing_key=key, headers=headers or {}, **properties)


def drain(broker: kombu.Connection, expected: int) -> int:
    """Drain until as many letters as were sent have come: a queue may take a moment to show them."""
    drained = 0
    for _ in range(200):
        drained += dead_letters.drain(broker)
        if drained >= expected:
            break
    return drained


def waiting(broker: kombu.Connection) -> int:
    with kombu.Connection(broker.as_uri(include_password=True)) as other:
        declared: Any = DEAD(other.default_channel).queue_declare(passive=True)
        return int(declared.message_count)


def task_body(batch: str) -> bytes:
    return json.dumps([[batch], {}, {}]).encode()


@pytest.mark.usefixtures("db")
def test_a_batch_that_its_worker_rejected_becomes_a_batch_in_quarantine(broker: kombu.Connection) -> None:
    producer = broker.Producer(exchange=SAMPLES_IN)
    producer.publish(
        task_body("the batch"), routing_key="samples", headers={"task": "metering.record_samples"},
        content_type="application/json", content_encoding="utf-8",
    )  # fmt: skip
    samples = SAMPLES(broker.default_channel)
    message = None
    while message is None:
        message = samples.get()
    message.reject()

    assert drain(broker, 1) == 1
    [row] = Quarantine.objects.all()
    assert (row.kind, bytes(row.body), row.reason) == ("batch", b"the batch", "dead letter: rejected")
    assert row.details["exchange"] == "samples-in"
    assert row.details["task"] == "metering.record_samples"
    broker.close()  # a letter that was not acknowledged would be there again
    assert dead_letters.drain(broker) == 0


@pytest.mark.usefixtures("db")
def test_a_batch_that_the_worker_kept_as_well_is_one_row(broker: kombu.Connection) -> None:
    quarantine.keep(Kept("batch", b"the batch", "ValueError: x"), keeping_folder())
    publish(broker, task_body("the batch"), "samples", {"task": "metering.record_samples"})

    assert drain(broker, 1) == 1
    assert Quarantine.objects.get().count == 2


@pytest.mark.usefixtures("db")
def test_a_notification_that_the_consumer_gave_up_keeps_its_body_and_its_reason(broker: kombu.Connection) -> None:
    headers = {"reason": "no envelope", "exchange": "nova", "event_type": "compute.x", "traceback": "KeyError: 'a'"}
    publish(broker, b"\xff not JSON", "notification", headers, content_type="application/octet-stream")

    assert drain(broker, 1) == 1
    [row] = Quarantine.objects.all()
    assert (row.kind, bytes(row.body), row.reason) == ("notification", b"\xff not JSON", "no envelope")
    assert row.details["exchange"] == "nova"
    assert row.details["event_type"] == "compute.x"
    assert row.details["traceback"] == "KeyError: 'a'"
    assert row.details["content_type"] == "application/octet-stream"


HEADERS: list[dict[str, Any]] = [
    {"x-death": "text"},
    {"x-death": []},
    {"x-death": [7]},
    {"x-death": {"a": 1}},
    {"task": ["a"], "exchange": {"b": 1}},
    {"task": 'quote " and \\u0000 and more'},
    {"task": "metering.record_samples"},
    {"compression": "application/x-gzip"},
    {"compression": "no such thing"},
    {"reason": "a\0b"},
]


@pytest.mark.usefixtures("db")
def test_no_header_stops_the_drain(broker: kombu.Connection) -> None:
    sent = set()
    for key in ("samples", "notification"):
        for number, headers in enumerate(HEADERS):
            body = f"{key} {number}".encode()
            publish(broker, body, key, headers)
            sent.add(body)

    assert drain(broker, len(sent)) == len(sent)
    assert {bytes(row.body) for row in Quarantine.objects.all()} == sent


BODIES = [b"", b"\xff", b"[]", b"[[7], {}, {}]", b"[" * 100_000, b"{}", b'[["a", "b"], {}, {}]', b"null"]


@pytest.mark.usefixtures("db")
def test_a_body_of_any_kind_is_kept_as_it_is_and_never_decoded(broker: kombu.Connection) -> None:
    for body in BODIES:
        for content_type in ("application/json", "application/x-python-serialize", "text/plain"):
            publish(broker, body, "samples", {"task": "metering.record_samples"}, content_type=content_type)

    assert drain(broker, 3 * len(BODIES)) == 3 * len(BODIES)
    found = Quarantine.objects.all()
    assert {bytes(row.body) for row in found} == set(BODIES)
    assert {(row.kind, row.count) for row in found} == {("message", 3)}


@pytest.mark.usefixtures("db")
def test_a_flood_is_drained_in_several_runs(broker: kombu.Connection) -> None:
    for number in range(5):
        publish(broker, str(number).encode(), "samples")
    while waiting(broker) < 5:
        pass

    assert dead_letters.drain(broker, most=2) == 2
    assert drain(broker, 3) == 3
    assert Quarantine.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_while_the_database_is_away_no_letter_is_taken(broker: kombu.Connection, postgres: Postgres) -> None:
    publish(broker, b"one", "samples")
    while waiting(broker) < 1:
        pass
    connection.close()
    postgres.daemon.stop()
    try:
        with pytest.raises(DatabaseError):
            dead_letters.drain(broker)
        assert waiting(broker) == 1
    finally:
        postgres.start()
        connection.close()

    assert drain(broker, 1) == 1
    assert bytes(Quarantine.objects.get().body) == b"one"


@pytest.mark.django_db(transaction=True)
def test_a_letter_is_acknowledged_after_its_row_is_committed(broker: kombu.Connection) -> None:
    publish(broker, b"one", "samples")
    while waiting(broker) < 1:
        pass
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:  # noqa: PT012 # one attempt
        cursor.execute("ALTER TABLE quarantine RENAME TO elsewhere")
        dead_letters.drain(broker)
    broker.close()  # what was not acknowledged is there again

    assert drain(broker, 1) == 1
    assert Quarantine.objects.count() == 1
