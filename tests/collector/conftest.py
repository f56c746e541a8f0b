from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from celery import Celery

from collector.index import Index, load
from tests.collector.line import OurBus, Running, Services, celery_app, index_of
from tests.collector.rows import SETTINGS
from tests.services import RabbitMQ
from tests.stage import Stage

EXCHANGES = tuple(load(SETTINGS, {}).topics)

Start = Callable[..., Running]


@pytest.fixture(params=["amqp_url", "redis_url"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """A broker of each kind in turn, with nothing on it."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture(scope="session")
def _vhost(stage: Stage) -> str:
    """One virtual host for all of these tests: a broker has only so many."""
    return stage.rabbitmq.vhost()


@pytest.fixture
def amqp_url(rabbitmq: RabbitMQ, _vhost: str) -> Iterator[str]:
    """RabbitMQ, with nothing of services or of ours on it."""
    yield _vhost
    rabbitmq.wait_ready()
    Services(_vhost).forget(EXCHANGES)
    OurBus(_vhost).forget()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a consumer on a services' broker and ours; every one is ended after the test."""
    with ExitStack() as stack:

        def started(services: str, ours: str, index: Index | None = None, app: Celery | None = None) -> Running:
            running = Running(services, app or stack.enter_context(celery_app(ours)), index or index_of())
            stack.callback(running.end)
            return running

        yield started
