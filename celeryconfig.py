"""Broker, queues, routes, beat's schedule. Beside each value that is not Celery's default stands its reason.

What was measured (Celery 5.7, RabbitMQ 3.10, Redis 7): without confirms, publishing to a full queue, a missing
exchange or an unbound key returns normally; with the default acknowledgement a failed task's message is deleted.
"""

from __future__ import annotations

import os
from typing import Any

from kombu import Exchange, Queue

from metering import environment, sources, tls
from metering.schedule import Aligned
from metering.topology import CONTROL, CONTROL_QUEUE, DEAD, POLL, SAMPLES, SAMPLES_IN, is_redis, poll_queue

_settings = environment.load(os.environ)
_role = _settings.role
_sources = sources.load(_settings.sources_file, _settings.poll_interval)
_plugin_host = _role in {"compute", "central"}

broker_url, _tls = tls.split("METERING_BROKER_URL", _settings.broker_url or "")
broker_use_ssl = _tls or False
_on_redis = is_redis(broker_url)
# Confirms: publishing raises unless the broker has the message. Socket time-outs: a dead link is noticed.
broker_transport_options: dict[str, Any] = (
    {"visibility_timeout": 3600, "socket_timeout": 60} if _on_redis else {"confirm_publish": True}
)
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # by default a worker exits after 100
broker_heartbeat = 30
broker_connection_timeout = 5
broker_pool_acquire_timeout = 30
# A publisher that keeps what it has (spool, unacknowledged notification) need not wait long for a broker.
task_publish_retry_policy = {"max_retries": 3, "interval_start": 0.2, "interval_step": 0.5, "interval_max": 2}

# A worker registers its own role's tasks only, so that no message can make it run another's.
include = {
    "compute": ["pollsters.compute.task", "pollsters.announce"],
    "central": ["pollsters.central.task", "pollsters.announce"],
    "samples": ["metering.tasks.storage", "metering.tasks.events"],
    "control": ["metering.tasks.control"],
}.get(_role or "", [])

# A plugin host names no quorum queue: one would make its worker declare the 28 queues of delayed delivery.
task_queues = {
    "compute": (poll_queue(_settings.node, declares=_on_redis),),
    "central": (poll_queue(environment.CENTRAL, declares=_on_redis),),
    "control": (CONTROL_QUEUE, DEAD),
}.get(_role or "", (SAMPLES,))
task_default_queue = task_queues[0].name
task_create_missing_queues = False  # a mistyped name raises instead of making a queue that nobody reads
worker_detect_quorum_queues = not _plugin_host


def _route(exchange: Exchange, on_redis: Exchange | Queue, **more: Any) -> dict[str, Any]:
    """By exchange and key, never by queue: a publisher then declares no queue, and needs no right to.

    ``mandatory``: with confirms, an unbound key raises. Redis drops such a message without a word, and has no
    rights to respect: there each publisher declares where its messages go.
    """
    declare = [on_redis] if _on_redis else []
    kind = {"exchange": exchange.name, "exchange_type": exchange.type, "declare": declare, "mandatory": True}
    return {**kind, **more}


task_routes = {
    "metering.record_samples": _route(SAMPLES_IN, SAMPLES, routing_key="samples"),
    "metering.record_events": _route(SAMPLES_IN, SAMPLES, routing_key="samples"),
    "metering.*": _route(CONTROL, CONTROL_QUEUE, routing_key="control"),
    "pollsters.*": _route(POLL, POLL),  # dispatch gives the node's name as the key
}

task_serializer = result_serializer = event_serializer = "json"
accept_content = ["json"]  # pickle would give code execution to anybody who can publish
result_backend = None
task_ignore_result = True
worker_send_task_events = task_send_sent_event = False  # all-to-all talk that a thousand workers cannot afford
worker_enable_remote_control = not _plugin_host
enable_utc = True
timezone = "UTC"
worker_hijack_root_logger = True
worker_cancel_long_running_tasks_on_connection_loss = False  # it kills commits; repeats are harmless
if _role in {"samples", "control"}:
    worker_consumer = "metering.tasks.intake:KeepingConsumer"

if _plugin_host:
    # Orders are disposable: acknowledged early, so that a poll is never read twice.
    task_acks_late = False
    worker_concurrency = 1  # a child process, so that the limits below can end a call that hangs
    worker_prefetch_multiplier = 1
    task_soft_time_limit = 0.75 * min(source.interval for source in _sources) + 5
    task_time_limit = task_soft_time_limit + 10
else:
    task_acks_late = True  # after the commit
    task_acks_on_failure = False  # by default a failing task's message is acknowledged, that is, deleted
    task_acks_on_timeout = False
    task_reject_on_worker_lost = True  # by default a killed worker's message is acknowledged as well
    worker_prefetch_multiplier = 4
    worker_soft_shutdown_timeout = 30
    worker_max_tasks_per_child = 10_000
    worker_max_memory_per_child = 400_000  # KiB
    task_time_limit = 600  # prefetch x this stays below RabbitMQ's consumer time-out of 30 minutes
    CELERY_DB_REUSE_MAX = 1_000_000  # Celery closes the database connection after every task otherwise

# In memory: the schedule is a function of the clock and needs no file.
beat_scheduler = "celery.beat:Scheduler"
beat_max_loop_interval = 5
beat_schedule: dict[str, dict[str, Any]] = {
    f"poll {source.name}": {
        "task": "metering.dispatch",
        "schedule": Aligned(source.interval),
        "args": (source.name,),
    }
    for source in _sources
} | {
    "drain the dead letters": {"task": "metering.drain_dead", "schedule": Aligned(30)},
    "keep the days": {"task": "metering.keep_days", "schedule": Aligned(3600)},
    "roll up": {"task": "metering.roll_up", "schedule": Aligned(60)},
    "seal the days that are over": {"task": "metering.seal_days", "schedule": Aligned(3_600)},
}
