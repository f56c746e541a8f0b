"""Notifications on RabbitMQ to samples: a consumer beside a bare kombu consumer, then with a storage worker behind it.

What is said are the recorded bodies in turn, each time with other ids: no message and no resource is there twice.
All go through oslo.messaging's Notifier once, in its own processes; each drain then gets the same bytes again,
published again. Bare is a kombu consumer with our prefetch that acknowledges a hundred at once and does nothing
else. `per_s` and CPU count from the first delivery to the last acknowledgement, which comes after the confirms;
CPU is that of the consumer's process, all its threads. Rows are committed by one storage worker (two children), and
counted from the first delivery to the last row's `recorded_at`. All share the cores with RabbitMQ and PostgreSQL.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import amqp
import psycopg2
from kombu import Connection

from collector.bus import attach, queue_of
from collector.index import Index, load
from embedded.daemon import Daemon, tied
from embedded.services import Postgres, free_port
from metering import environment
from metering.signing import derive
from metering.topology import DEAD, EXCHANGES, SAMPLES
from tests.collector.bodies import RECORDED, recorded
from tests.collector.notifier import notify
from tests.services import RabbitMQ, the_only

SECRET = "a secret of this run alone"
NODE = "bench"
AT_ONCE = 2_000  # notifications that one process of oslo.messaging sends
SECONDS = 600.0  # that storing may take
ROOT = Path(__file__).parents[2]
_UUID = re.compile(r"\b([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4})-[0-9a-f]{12}\b")


@dataclass(frozen=True, slots=True)
class Said:
    """A notification as oslo.messaging put it on the bus."""

    exchange: str
    body: bytes
    properties: Mapping[str, Any]


def measure(folder: Path, count: int) -> dict[str, float]:
    """The figures of one run."""
    index = load(environment.load({}), {})
    with _services(folder) as (services, ours, postgres):
        said = _say(services, index, count)
        settings = _settings(folder, services, ours, postgres.url("postgres"))
        _preload(services, said)
        bare = _drain("bare", settings, count)
        _preload(services, said)
        alone = _drain("consume", settings, count)
        _forget(ours)
        _preload(services, said)
        stored = _stored(folder, settings, count)
    return {
        "notifications.per_s": alone["per_s"],
        "notifications.samples_per_s": alone["samples"] / count * alone["per_s"],
        "notifications.cpu_s_per_1000": alone["cpu_s"] / count * 1_000,
        "notifications.pss_mib": alone["pss_mib"],
        "notifications.stored_per_s": stored,
        "notifications.bare_per_s": bare["per_s"],
        "notifications.bare_cpu_s_per_1000": bare["cpu_s"] / count * 1_000,
        "notifications.ratio_to_bare_consumer": alone["per_s"] / bare["per_s"],
    }


@contextlib.contextmanager
def _services(folder: Path) -> Iterator[tuple[str, str, Postgres]]:
    """The URLs of a services' bus and of ours, two virtual hosts of one broker, and a database."""
    (folder / "rabbitmq").mkdir()
    rabbitmq = RabbitMQ(folder / "rabbitmq", free_port())
    rabbitmq.launch()
    programs = the_only("postgresql/*/bin/postgres", "postgresql").parent
    # As it is installed, synchronised to disk: what is counted is committed.
    postgres = Postgres(programs, folder / "data", folder, folder / "log", free_port(), ())
    try:
        postgres.start()
        rabbitmq.wait_ready()
        services, ours = rabbitmq.vhost(), rabbitmq.vhost()
        with Connection(ours) as connection:
            for declared in (*EXCHANGES, SAMPLES, DEAD):
                declared(connection.default_channel).declare()
        yield services, ours, postgres
    finally:
        postgres.daemon.stop()
        rabbitmq.close()


def _say(url: str, index: Index, count: int) -> list[Said]:
    """Let a service's own notifier say them; what our queues then hold is taken out again, in order."""
    with Connection(url) as connection:
        for exchange, topics in index.topics.items():
            attach(connection, exchange, topics)
    wanted = [(exchange, event_type) for event_type in RECORDED for exchange in index.exchanges(event_type)[:1]]
    of_each: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for number, (exchange, event_type) in zip(range(count), itertools.cycle(wanted), strict=False):
        of_each.setdefault(exchange, []).append((event_type, _another(recorded(event_type)["payload"], number)))
    context = {"user_id": "f" * 32, "project_id": "e" * 32, "request_id": "req-1", "auth_token": "x"}
    for exchange, notifications in of_each.items():
        for start in range(0, len(notifications), AT_ONCE):
            notify(url, exchange, *notifications[start : start + AT_ONCE], context=context)
    with Connection(url) as connection:
        queues = {exchange: list(_taken(connection, exchange)) for exchange in of_each}
    # Mixed as they were meant to come, however the processes followed each other.
    mixed = itertools.chain.from_iterable(itertools.zip_longest(*queues.values()))
    return [one for one in mixed if one is not None]


def _another(payload: Any, number: int) -> Any:
    """The payload with other UUIDs: of another resource."""
    return json.loads(_UUID.sub(lambda found: f"{found[1]}-{number:012x}", json.dumps(payload)))


def _taken(connection: Connection, exchange: str) -> Iterator[Said]:
    channel: Any = connection.default_channel
    while message := channel.basic_get(queue_of(exchange), no_ack=True):
        body = message.body if isinstance(message.body, bytes) else message.body.encode()
        yield Said(exchange, body, message.properties)


def _preload(url: str, said: list[Said]) -> None:
    """Put all of it into our queues, as it came the first time."""
    with Connection(url) as connection:
        channel: Any = connection.default_channel
        for one in said:
            channel.basic_publish(amqp.Message(one.body, **one.properties), routing_key=queue_of(one.exchange))
        held = {queue_of(one.exchange) for one in said}
        while sum(channel.queue_declare(queue, passive=True).message_count for queue in held) < len(said):
            time.sleep(0.1)


def _settings(folder: Path, services: str, ours: str, database: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "METERING_NODE": NODE,
        "METERING_NODE_KEY": f"k1:{derive(SECRET.encode(), f'consumer/{NODE}').hex()}",
        "METERING_SECRETS": f"k1:{SECRET}",
        "METERING_BROKER_URL": ours,
        "METERING_NOTIFICATION_URLS": services,
        "METERING_SPOOL_DIR": str(folder / "spool"),
        "METERING_RETENTION_DAYS": "0",  # recorded notifications grow old
        "DATABASE_URL": database,
    }


def _drain(what: str, settings: Mapping[str, str], count: int) -> dict[str, float]:
    """Figures of a process that drains our queues, as a consumer or bare; its settings are read once, at its start."""
    environ = {**settings, "METERING_ROLE": "consumer"}
    del environ["METERING_SECRETS"], environ["DATABASE_URL"]
    command = [sys.executable, "-m", "tests.bench.notifications_drain", what, str(count)]
    told = subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, float] = json.loads(told.splitlines()[-1])
    return figures


def _forget(ours: str) -> None:
    """Nobody stored what the drain before sent."""
    with Connection(ours) as connection:
        SAMPLES(connection.default_channel).purge()


def _stored(folder: Path, settings: Mapping[str, str], count: int) -> float:
    """Notifications a second whose samples are committed rows."""
    environ = {**settings, "METERING_ROLE": "samples"}
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, env=environ, check=True)
    log = folder / "worker.log"
    command = [sys.executable, "-m", "celery", "-A", "metering", "worker", "-Q", "samples", "--concurrency=2"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=INFO"]
    worker = Daemon("the storage worker", tied([*command, *quiet]), log, lambda: " ready." in log.read_text(), environ)
    worker.start()
    try:
        drained = _drain("consume", settings, count)
        last = _last_row(settings["DATABASE_URL"], int(drained["samples"]))
    finally:
        worker.stop()
    return count / (last - drained["began"])


def _last_row(url: str, samples: int) -> float:
    """When the last of so many rows was written, in seconds since the epoch."""
    deadline = time.monotonic() + SECONDS
    with contextlib.closing(psycopg2.connect(url)) as database:
        database.autocommit = True
        with database.cursor() as cursor:
            while time.monotonic() < deadline:
                cursor.execute("SELECT count(*), extract(epoch FROM max(recorded_at)) FROM sample")
                rows, last = cursor.fetchone() or (0, 0)
                if rows >= samples:
                    return float(last)
                time.sleep(0.25)
    raise SystemExit(f"after {SECONDS:.0f} s only {rows} of {samples} samples are stored")
