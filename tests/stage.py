"""What stands before the first test: this process's settings, and services that start when they are wanted.

A plugin of pytest's (see pyproject.toml), because Django's settings are read before any conftest.py.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest

from embedded.daemon import DaemonError
from embedded.services import Postgres, Redis, free_port
from tests.libvirt_lab import LibvirtLab
from tests.openstack.lab import CloudLab
from tests.services import RabbitMQ, make_pgbouncer, make_postgres, make_redis

SECRETS = "k1:the-first-secret-of-the-tests,k0:an-older-secret-of-the-tests"
NODE = "test-host"


@dataclass
class Stage:
    """The services of one test session, each made when it is first asked for."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="nephometer-tests-")))
    postgres_port: int = field(default_factory=free_port)
    redis_port: int = field(default_factory=free_port)
    rabbitmq_port: int = field(default_factory=free_port)
    pooler_port: int = field(default_factory=free_port)
    pooled: bool = False  # whether everybody reaches PostgreSQL through a pooler only
    closing: list[Callable[[], None]] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        """What the test process is told: an operator's command, with every secret."""
        return {
            "DATABASE_URL": self.database_url("metering"),
            "METERING_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{self.rabbitmq_port}//",
            "METERING_CACHE_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "METERING_SECRETS": SECRETS,
            "METERING_NODE": NODE,
            "METERING_SPOOL_DIR": str(self.folder / "spool"),
            "METERING_LIBVIRT_URI": "test:///default",
            "DJANGO_SECRET_KEY": "a key that protects nothing but the sessions of these tests",
        }

    def database_url(self, name: str) -> str:
        """Of a database, as processes are told it."""
        return f"postgresql://metering@127.0.0.1:{self.pooler_port if self.pooled else self.postgres_port}/{name}"

    @cached_property
    def postgres(self) -> Postgres:
        postgres = make_postgres(self._folder("postgres"), self.postgres_port)
        self.closing.append(postgres.daemon.stop)
        postgres.start()
        if self.pooled:
            pooler = make_pgbouncer(self._folder("pgbouncer"), self.pooler_port, self.postgres_port)
            self.closing.append(pooler.stop)
            pooler.start()
        return postgres

    @cached_property
    def redis(self) -> Redis:
        redis = make_redis(self._folder("redis"), self.redis_port)
        self.closing.append(redis.daemon.kill)
        redis.start()
        return redis

    @cached_property
    def rabbitmq(self) -> RabbitMQ:
        """It needs seconds to start: launched here, waited for by whoever uses it."""
        rabbitmq = RabbitMQ(self._folder("rabbitmq"), self.rabbitmq_port)
        self.closing.append(rabbitmq.close)
        rabbitmq.launch()
        return rabbitmq

    @cached_property
    def libvirt_lab(self) -> LibvirtLab:
        """It needs a second to start: launched here, waited for by whoever uses it."""
        lab = LibvirtLab(self._folder("libvirt"))
        self.closing.append(lab.close)
        lab.launch()
        return lab

    @cached_property
    def cloud_lab(self) -> CloudLab:
        """It needs half a minute to start: launched here, waited for by whoever uses it."""
        lab = CloudLab(self._folder("openstack"))
        self.closing.append(lab.close)
        lab.launch()
        return lab

    def close(self) -> None:
        while self.closing:
            self.closing.pop()()
        shutil.rmtree(self.folder)

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder


STAGE = pytest.StashKey[Stage]()
# Fixtures behind which a service with a slow start stands: it starts while the first tests run.
_SLOW = {
    "rabbitmq": {"rabbitmq", "rabbitmq_url", "amqp_url", "broker_url"},
    "libvirt_lab": {"libvirt_lab"},
    "cloud_lab": {"cloud_lab", "keystone_api"},
}
_LABS = ("cloud_lab", "libvirt_lab")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How the tests reach the database."""
    parser.addoption(
        "--pooled", action="store_true", help="through PgBouncer, in transaction mode, with few connections"
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Before pytest-django loads the settings: forget the user's own, and put the session's in place."""
    stage = early_config.stash[STAGE] = Stage(pooled=early_config.known_args_namespace.pooled)
    for name in [name for name in os.environ if name.startswith(("METERING_", "DATABASE_URL", "DJANGO_"))]:
        del os.environ[name]
    os.environ.update(stage.settings)
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """The pooler's connections would stand in the way of removing the database; it goes with its server."""
    config.option.reuse_db |= config.option.pooled


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests are shared between processes, one of them has a lab to itself, and no file is torn apart."""
    for item in items:
        needed = (service for service in _LABS if _SLOW[service] & _fixtures(item))
        item.add_marker(pytest.mark.xdist_group(next(needed, item.nodeid.partition("::")[0])))


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


@pytest.hookimpl
def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly:
        return
    shared = hasattr(session.config, "workerinput")  # with another process, which may be the one that needs a lab
    wanted = {name for item in session.items for name in _fixtures(item)}
    for service, fixtures in _SLOW.items():
        if wanted & fixtures and not (shared and service in _LABS):
            with contextlib.suppress(DaemonError):  # the test that wants it will say why it does not start
                getattr(session.config.stash[STAGE], service)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if STAGE in config.stash:
        config.stash[STAGE].close()


@pytest.fixture(scope="session")
def stage(pytestconfig: pytest.Config) -> Stage:
    return pytestconfig.stash[STAGE]
