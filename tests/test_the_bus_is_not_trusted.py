"""Celery's headers are not signed: nothing that a message asks for, but to store its samples, is done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kombu
import pytest
from amqp.exceptions import AccessRefused

from metering import messages, packing
from metering.counters import Counter, Kind
from metering.models import PollSlot, Quarantine, Sample, Series
from metering.topology import CONTROL, METERING, SAMPLES_IN
from tests.installation import KEYRING, MASTER_SECRETS, Installation, installed, wait_for
from tests.metering.test_message_format import documented_verifier
from tests.services import RabbitMQ


@pytest.fixture(params=["rabbitmq", "redis"])
def installation(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Installation]:
    url = request.getfixturevalue(f"{request.param}_url")
    with installed(tmp_path, url, database_url, METERING_PLAIN_MESSAGES="1") as installation:
        installation.start("samples")
        yield installation


def batch(meter: str, volume: float = 1.0, metadata: dict[str, Any] | None = None) -> str:
    counter = Counter(
        meter, Kind.GAUGE, "B", volume, "u", "p", f"resource of {meter}", datetime.now(UTC), metadata or {}, "test"
    )
    [text] = packing.pack([counter], signer=KEYRING.signer("compute/host-9"), source="openstack")
    return text


def send(
    installation: Installation,
    body: object,
    headers: dict[str, Any] | None = None,
    exchange: kombu.Exchange = SAMPLES_IN,
    **properties: Any,
) -> None:
    """Put a message on the exchange as any client can."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    with kombu.Connection(installation.broker_url) as connection:
        connection.Producer().publish(
            text,
            exchange=exchange,
            declare=[exchange],
            routing_key="samples",
            headers={"task": "metering.record_samples", "id": "forged", "lang": "py", **(headers or {})},
            **{"content_type": "application/json", "content_encoding": "utf-8", **properties},
        )


class Listener:
    """A queue of somebody else's, bound to one of our exchanges."""

    def __init__(self, url: str, exchange: kombu.Exchange, key: str) -> None:
        self.connection = kombu.Connection(url)
        name = f"somebody-else.{exchange.name}.{key}"
        self.queue = kombu.Queue(name, exchange, routing_key=key, auto_delete=False, durable=True)
        self.bound = self.queue(self.connection.default_channel)
        self.bound.declare()
        self.messages: list[kombu.Message] = []

    def heard(self) -> list[kombu.Message]:
        """All that has come so far."""
        while (message := self.bound.get(no_ack=True)) is not None:
            self.messages.append(message)
        return self.messages

    def close(self) -> None:
        self.connection.close()


def stored(meter: str) -> bool:
    return Sample.objects.filter(series__meter=meter).exists()


TASKS = (
    "metering.dispatch",
    "metering.drain_dead",
    "metering.keep_days",
    "pollsters.poll_compute",
    "celery.chord",
    "celery.map",
    "os.system",
)
NO_BATCHES: dict[str, tuple[object, dict[str, Any], str]] = {  # body, properties, what its reason says
    "bytes": (b"no JSON at all \xff", {}, "cannot be decoded"),
    "pickle": (
        b"\x80\x04N.",
        {"content_type": "application/x-python-serialize", "content_encoding": "binary"},
        "untrusted content of type pickle",
    ),
    "revived type": ([[{"__type__": "uuid", "__value__": "no uuid"}], {}, {}], {}, "cannot be decoded"),
    "arguments": ([["two", "arguments"], {}, {}], {}, "TypeError"),
    "text": ([["no batch"], {}, {}], {}, "not JSON"),
    "number": ([[5], {}, {}], {}, "a batch is one text"),
}
SIGNATURE: dict[str, Any] = {
    "task": "metering.dispatch",
    "args": ["default"],
    "kwargs": {},
    "options": {},
    "subtask_type": None,
}
EMBEDDED: dict[str, dict[str, Any]] = {
    "link": {"callbacks": [SIGNATURE]},
    "errbacks": {"errbacks": [SIGNATURE]},
    "chain": {"chain": [SIGNATURE]},
    "chord": {"chord": SIGNATURE},
}


def test_forged_follow_ups_are_not_published(installation: Installation) -> None:
    control = Listener(installation.broker_url, CONTROL, "control")
    for asked, forged in EMBEDDED.items():
        send(installation, [[batch(asked)], {}, forged])
    wait_for(lambda: all(map(stored, EMBEDDED)), "all of their samples stored")
    send(installation, [[batch("last")], {}, {}])
    wait_for(lambda: stored("last"), "a sample after them stored")

    assert control.heard() == []
    control.close()


def test_forged_headers_neither_delay_nor_limit_nor_answer(installation: Installation) -> None:
    answers = kombu.Queue("answers", kombu.Exchange(""), routing_key="answers")
    with kombu.Connection(installation.broker_url) as connection:
        answers(connection.default_channel).queue_declare()
    far = "2999-01-01T00:00:00+00:00"
    send(installation, [[batch("eta")], {}, {}], {"eta": far})
    send(installation, [[batch("expires")], {}, {}], {"expires": "1999-01-01T00:00:00+00:00"})
    send(installation, [[batch("timelimit")], {}, {}], {"timelimit": [0.000001, 0.000001], "retries": 99})
    send(installation, [[batch("reply")], {}, {}], {"ignore_result": False}, reply_to="answers", correlation_id="c")
    wait_for(lambda: all(map(stored, ("eta", "expires", "timelimit", "reply"))), "all of them stored")

    with kombu.Connection(installation.broker_url) as connection:
        assert answers(connection.default_channel).get() is None


def test_another_task_s_name_runs_nothing_and_is_kept(installation: Installation) -> None:
    for task in TASKS:
        send(installation, [["default"], {}, {}], {"task": task, "id": f"forged {task}"})
        send(installation, [["default", task], {}, {}], {"task": task, "id": f"forged {task}"})
    wait_for(lambda: Quarantine.objects.count() == 1 + len(TASKS), "the forged messages in quarantine")

    reasons = " ".join(Quarantine.objects.values_list("reason", flat=True))
    assert all(task in reasons for task in TASKS)
    assert Quarantine.objects.get(count=len(TASKS)).details["routing_key"] == "samples"  # one body, sent by each name
    assert not PollSlot.objects.exists()


def test_what_is_no_batch_is_kept_and_costs_only_itself(installation: Installation) -> None:
    for body, properties, _ in NO_BATCHES.values():
        send(installation, body, **properties)
    send(installation, [[batch("after them")], {}, {}])
    wait_for(lambda: stored("after them"), "the good message after them stored")
    wait_for(lambda: Quarantine.objects.count() == len(NO_BATCHES), "the bad ones in quarantine")

    reasons = list(Quarantine.objects.values_list("reason", flat=True))
    for _, _, expected in NO_BATCHES.values():
        assert any(expected in reason for reason in reasons), (expected, reasons)


def test_hostile_metadata_costs_only_its_own_message(installation: Installation) -> None:
    revived = {"when": {"__type__": "datetime", "__value__": "2026-01-01T00:00:00"}}
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"d": deep}
    good = json.loads(batch("good"))
    for hostile in (json.dumps(deep), json.dumps({"big": "x" * 100_000}), "[" * 5_000, "no JSON", '{"n":NaN}'):
        row = [*good["rows"][0]]
        row[8] = len(good["metadata"])
        good["metadata"].append(hostile)
        good["rows"].append(row)
    send(installation, [[json.dumps(good)], {}, {}])
    send(installation, [[batch("revived", metadata=revived)], {}, {}])
    wait_for(lambda: stored("good") and stored("revived"), "the good ones stored")

    assert Sample.objects.get(series__meter="revived").metadata.document == revived
    assert Quarantine.objects.count() == 5


def test_somebody_else_s_queue_reads_samples_that_the_documented_verifier_accepts(installation: Installation) -> None:
    batches = Listener(installation.broker_url, SAMPLES_IN, "samples")
    plain = Listener(installation.broker_url, METERING, "metering.#")
    verify = documented_verifier()
    send(installation, [[batch("cpu", 0.1, {"näme": ["ü", 1.5, None]})], {}, {}])
    wait_for(lambda: stored("cpu"), "the sample stored")
    wait_for(plain.heard, "the plain message")

    [message] = plain.heard()
    assert message.delivery_info["routing_key"] == "metering.cpu"
    assert verify(message.payload, MASTER_SECRETS)
    [travelled] = batches.heard()
    [text], _, _ = json.loads(travelled.body or "")
    [unpacked] = messages.unpack(text)
    assert unpacked == message.payload
    assert verify(unpacked, MASTER_SECRETS)
    assert Series.objects.get().meter == "cpu"
    batches.close()
    plain.close()


def test_a_compute_host_needs_no_right_but_to_its_own_queue_and_to_send_samples(
    tmp_path: Path, rabbitmq: RabbitMQ, rabbitmq_url: str, database_url: str
) -> None:
    """With the rights that docs/operating.md gives it, it polls; of anything else the broker refuses it all."""
    vhost = rabbitmq_url.rpartition("/")[2]
    rights = rights_of("compute worker on host-1")
    rabbitmq.ctl("add_user", "host", "password")
    rabbitmq.ctl("set_permissions", "-p", vhost, "host", *rights)
    url = rabbitmq_url.replace("guest:guest", "host:password")
    with installed(tmp_path, rabbitmq_url, database_url) as installation:
        installation.start("samples", "control")
        installation.start("compute", METERING_BROKER_URL=url)
        installation.start("beat")
        wait_for(lambda: stored("cpu"), "a reading of cpu stored")

    for exchange, key in (("poll", "host-2"), ("control", "control"), ("metering", "x"), ("dlx", "x"), ("", "samples")):
        with kombu.Connection(url, transport_options={"confirm_publish": True}) as connection:
            producer = connection.Producer(auto_declare=False)
            with pytest.raises(AccessRefused):
                producer.publish("x", exchange=exchange, routing_key=key)
    with kombu.Connection(url) as connection, pytest.raises(AccessRefused):
        kombu.Queue("samples")(connection.default_channel).get()


def rights_of(user: str) -> list[str]:
    """What the operator is told to let this user configure, write and read."""
    text = (Path(__file__).parents[1] / "docs" / "operating.md").read_text()
    [row] = [line for line in text.splitlines() if line.startswith(f"| {user} |")]
    return [right.replace("\\|", "|") for right in re.findall(r"`(.*?)`", row)]
