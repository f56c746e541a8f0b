"""The API reads from a replica while that answers and keeps up, and from the primary otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from django.apps import apps

from embedded.services import Postgres
from metering.models import Sample, Token
from metering.replicas import LEDGER, ReplicaRouter
from tests.commands import ROOT
from tests.factories import reading, store, token
from tests.services import make_replica
from tests.test_services import until

# An API process, asked by line: how many samples does it show?
API = """
import json, sys
from wsgiref.util import setup_testing_defaults
from metering.wsgi import application
for text in sys.stdin:
    environ = {"PATH_INFO": "/v2/samples", "HTTP_X_AUTH_TOKEN": text.strip()}
    setup_testing_defaults(environ)
    answer = application(environ, lambda status, headers: None)
    print(len(json.loads(b"".join(answer))), flush=True)
    answer.close()
"""


@dataclass
class Api:
    process: subprocess.Popen[str]
    log: Path
    token: str

    def samples(self) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{self.token}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline() or self.log.read_text())

    def says(self, text: str) -> bool:
        """Whether it has logged this, when it has been asked once more."""
        self.samples()
        return text in self.log.read_text()


@pytest.fixture
def replica(database_url: str, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    folder = tmp_path_factory.mktemp("replica")
    made = make_replica(folder / "server", postgres)
    made.start()
    yield made
    made.daemon.stop()


def url(replica: Postgres, database_url: str) -> str:
    return replica.url(database_url.rpartition("/")[2])


@pytest.fixture
def start_api(database_url: str, tmp_path: Path) -> Iterator[Callable[[str, int], Api]]:
    started: list[subprocess.Popen[str]] = []

    def start(replica_url: str, lag_seconds: int) -> Api:
        told = {
            "METERING_ROLE": "api",
            "DATABASE_URL": database_url,
            "METERING_REPLICA_URLS": replica_url,
            "METERING_REPLICA_LAG_SECONDS": str(lag_seconds),
        }
        command = [sys.executable, "-c", API]
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | told,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        started.append(process)
        return Api(process, tmp_path / "log", token())

    yield start
    for process in started:
        with process:
            process.kill()


def test_the_api_reads_from_a_replica_and_falls_back_to_the_primary(
    start_api: Callable[[str, int], Api], replica: Postgres, database_url: str
) -> None:
    store(reading(1, origin="o"))
    api = start_api(url(replica, database_url), 3_600)
    until(lambda: api.samples() == 1)

    pause_replay(url(replica, database_url))
    store(reading(2, 60, origin="o"))
    assert api.samples() == 1  # what the replica had

    replica.daemon.kill()
    assert api.samples() == 2
    assert "replica1 is not asked for now" in api.log.read_text()

    replica.start()
    until(lambda: api.says("replica1 is asked again"))
    until(lambda: api.samples() == 2)


def test_a_replica_that_is_too_far_behind_is_not_asked(
    start_api: Callable[[str, int], Api], replica: Postgres, database_url: str
) -> None:
    api = start_api(url(replica, database_url), 1)

    until(lambda: api.says("s behind the primary"))  # nothing is written, so it can only fall behind

    store(reading(1, origin="o"))
    assert api.samples() == 1


def test_a_replica_that_is_not_there_costs_no_answer(start_api: Callable[[str, int], Api]) -> None:
    store(reading(1, origin="o"))

    api = start_api("postgresql://metering@127.0.0.1:1/nothing", 120)

    assert api.samples() == 1
    assert "replica1 is not asked for now" in api.log.read_text()


def pause_replay(address: str) -> None:
    connection = psycopg2.connect(address)
    connection.autocommit = True

    def state() -> str:
        cursor.execute("SELECT pg_get_wal_replay_pause_state()")
        [found] = cursor.fetchone() or [""]
        return str(found)

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_wal_replay_pause()")
        until(lambda: state() == "paused")
    connection.close()


def test_only_what_may_be_some_seconds_old_is_read_from_a_replica() -> None:
    ledger = {name.lower() for name in ("Sample", "Series", "Resource", "ResourceMetadata", "SampleHour", "SampleDay")}

    assert ledger <= LEDGER
    assert {model._meta.model_name for model in apps.get_app_config("metering").get_models()} >= LEDGER
    assert not LEDGER & {"token", "node", "quarantine", "rollupstate", "late", "lease", "digest"}


@pytest.mark.django_db
def test_without_replicas_and_for_writing_there_is_the_primary() -> None:
    router = ReplicaRouter()

    assert router.db_for_read(Sample) == router.db_for_read(Token) == router.db_for_write(Sample) == "default"
    assert router.allow_migrate("default", "metering")
    assert not router.allow_migrate("replica1", "metering")
