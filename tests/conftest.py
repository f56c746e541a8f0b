"""Real services for whoever asks: each fixture gives one that runs, also after a test that killed it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import hypothesis
import pytest
from django.db import connection, connections
from django.urls import clear_script_prefix
from pytest_django import DjangoDbBlocker

from embedded.services import Postgres, Redis
from metering.store import partitions
from tests.libvirt_lab import LibvirtLab
from tests.live_api import LiveApi, live_api
from tests.openstack.lab import CloudLab
from tests.services import RabbitMQ
from tests.stage import Stage

# No test fails because the machine is busy.
hypothesis.settings.register_profile(
    "patient", hypothesis.settings(), deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

_redis_databases = itertools.count(100)  # the lower ones are for whoever chooses a number


@pytest.fixture(scope="session")
def django_db_modify_db_settings(stage: Stage) -> None:
    """Whoever wants the database (pytest-django's `db` and its like) finds PostgreSQL running."""
    stage.postgres  # noqa: B018 # made, and started, by being asked for


@pytest.fixture(scope="session", autouse=True)
def _cache(stage: Stage) -> None:
    """Redis starts in no time, and the API keeps its cache there."""
    stage.redis  # noqa: B018


@pytest.fixture(autouse=True)
def _prefix() -> Iterator[None]:
    """Django's test client, unlike a server, leaves the prefix of a request's address to the requests after it."""
    yield
    clear_script_prefix()


@pytest.fixture(autouse=True)
def _partitions(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """What a test commits is removed after it, but for partitions, which would be days to the tests after it."""
    yield
    marker = request.node.get_closest_marker("django_db")
    if "transactional_db" in request.fixturenames or (marker and marker.kwargs.get("transaction")):
        with django_db_blocker.unblock():
            _drop_partitions()


def _drop_partitions() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relispartition AND relkind = 'r'"
        )
        [(tables,)] = cursor.fetchall()
        if tables:
            cursor.execute(f"DROP TABLE {tables}")
    partitions.forget()


@pytest.fixture
def postgres(stage: Stage) -> Iterator[Postgres]:
    """The server, for a test to stop or kill. The database of the tests is Django's `test_metering`."""
    if not stage.postgres.daemon.running:
        stage.postgres.start()
    pid = stage.postgres.daemon.pid
    yield stage.postgres
    if stage.postgres.daemon.pid != pid:  # the test started it again: Django's connection is to the old one
        connections.close_all()


@pytest.fixture
def redis(stage: Stage) -> Redis:
    if not stage.redis.daemon.running:
        stage.redis.start()
    return stage.redis


@pytest.fixture
def redis_url(redis: Redis) -> str:
    """A broker URL whose database nobody used before."""
    return redis.broker_url(next(_redis_databases))


@pytest.fixture
def rabbitmq(stage: Stage) -> RabbitMQ:
    if not stage.rabbitmq.broker.running:
        stage.rabbitmq.launch()
    stage.rabbitmq.wait_ready()
    return stage.rabbitmq


@pytest.fixture
def rabbitmq_url(rabbitmq: RabbitMQ) -> str:
    """A broker URL whose virtual host nobody used before."""
    return rabbitmq.vhost()


@pytest.fixture
def database_url(transactional_db: None, stage: Stage, postgres: Postgres) -> str:
    """Django's test database for other processes; what they leave there is removed after the test."""
    return stage.database_url(str(connection.settings_dict["NAME"]))


@pytest.fixture
def libvirt_lab(stage: Stage) -> LibvirtLab:
    """A libvirt with no guests but those that the session's tests have defined."""
    stage.libvirt_lab.wait_ready()
    return stage.libvirt_lab


@pytest.fixture
def cloud_lab(stage: Stage) -> CloudLab:
    """A real Keystone and Glance; the stand-ins of the other services answer as they do at first."""
    stage.cloud_lab.wait_ready()
    stage.cloud_lab.services.reset()
    stage.cloud_lab.write_clouds(lab={})
    return stage.cloud_lab


@pytest.fixture(scope="session")
def keystone_api(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, stage: Stage) -> Iterator[LiveApi]:
    """The API as a process that asks the lab's Keystone, whose catalogue has it under `metering`.

    The lab's users are admin, and ruth and bert, members of the projects red and blue (`CloudLab.token`).
    """
    stage.cloud_lab.wait_ready()
    with live_api(tmp_path_factory.mktemp("keystone-api"), stage, **stage.cloud_lab.for_the_api) as api:
        stage.cloud_lab.register("metering", api.url)
        yield api
