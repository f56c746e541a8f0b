"""What `notifications` measures, in a process of its own: a consumer's settings are read once, when it starts.

``python -m tests.bench.notifications_drain consume 20000`` drains so many notifications as `collect_notifications`
does, ``bare`` as a kombu consumer that only acknowledges; each prints its figures as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from typing import Any

import psutil
from kombu import Connection, Queue
from kombu import Consumer as QueueConsumer

ACKNOWLEDGED_AT_ONCE = 100


def main(what: str, count: int) -> None:
    import django

    import metering.celery  # noqa: F401 # the application, before Django is set up by it

    django.setup()
    logging.disable(logging.INFO)
    json.dump(_bare(count) if what == "bare" else _consume(count), sys.stdout)


def _consume(count: int) -> dict[str, float]:
    from django.conf import settings

    from collector.consumer import Consumer
    from collector.index import load
    from metering.celery import app
    from metering.publish import publisher_of

    environment, stop = settings.METERING, threading.Event()
    consumer = Consumer(environment.notification_urls[0], load(environment), publisher_of(app, environment), stop)
    thread = threading.Thread(target=consumer.run)
    thread.start()
    while not consumer.reading:
        time.sleep(0.001)
    clock = _Clock()
    while consumer.tally.notifications < count:
        time.sleep(0.005)
    figures = clock.figures(count)
    stop.set()
    thread.join()
    return figures | {"samples": consumer.tally.samples}


def _bare(count: int) -> dict[str, float]:
    from django.conf import settings

    from collector.bus import queue_of
    from collector.consumer import PREFETCH
    from collector.index import load

    environment = settings.METERING
    taken = 0

    def take(message: Any) -> None:
        nonlocal taken
        taken += 1
        if taken % ACKNOWLEDGED_AT_ONCE == 0 or taken == count:
            message.ack(multiple=True)

    with Connection(environment.notification_urls[0]) as connection:
        queues = [Queue(queue_of(exchange), durable=True) for exchange in load(environment).topics]
        reader = QueueConsumer(connection.channel(), queues, auto_declare=False, on_message=take)
        reader.qos(prefetch_count=PREFETCH)
        reader.consume()
        clock = _Clock()
        while taken < count:
            connection.drain_events(timeout=60)
        return clock.figures(count)


class _Clock:
    """Wall and CPU of this process, from now on."""

    def __init__(self) -> None:
        self.began, self._wall, self._cpu = time.time(), time.perf_counter(), time.process_time()

    def figures(self, count: int) -> dict[str, float]:
        return {
            "began": self.began,
            "per_s": count / (time.perf_counter() - self._wall),
            "cpu_s": time.process_time() - self._cpu,
            "pss_mib": psutil.Process(os.getpid()).memory_full_info().pss / (1 << 20),
        }


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
