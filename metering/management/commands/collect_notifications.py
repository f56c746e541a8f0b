"""``manage.py collect_notifications``: the consumer. Needs no database."""

from __future__ import annotations

import logging
import signal
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from collector.consumer import consume
from collector.index import load
from metering.celery import app
from metering.environment import Environment
from metering.errors import BadSetting, PluginError
from metering.publish import publisher_of

log = logging.getLogger("collector")


class Command(BaseCommand):
    """Runs until TERM or Ctrl-C, then delivers and acknowledges what it holds and ends."""

    help = "Make samples of what OpenStack's services say on their bus, until told to stop (TERM or Ctrl-C)."
    requires_system_checks = ()  # they ask for a database

    def handle(self, **_: Any) -> None:
        environment: Environment = settings.METERING
        if not environment.notification_urls:
            raise BadSetting("METERING_NOTIFICATION_URLS is not set: the brokers to read, separated by commas")
        index = load(environment)
        if not index.subscriptions and index.events is None:
            raise PluginError("no listener is enabled: see manage.py plugins")
        for name, reason in index.left_out.items():
            log.warning("listener %s is left out: %s", name, reason)
        for fault in index.events.faults if index.events is not None else ():
            log.warning("a definition of events is left out: %s", fault)
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        consume(environment.notification_urls, index, publisher_of(app, environment), stop)
