"""The task of a compute host's worker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from metering import environment, plugins, sources
from metering.celery import app
from metering.publish import publisher_of
from metering.sources import Source
from pollsters import runner
from pollsters.answering import Desk, spool_of
from pollsters.compute import libvirt_host, nova
from pollsters.compute.growth import Growths
from pollsters.compute.host import ComputeHost
from pollsters.compute.reading import policy_of
from pollsters.order import PollOrder

READING_SHARE = 0.5  # of the time left to the deadline; the rest is for sending

_settings = environment.load(os.environ)
nova.check(_settings)  # a cloud that clouds.yaml does not have stops the worker here
# Found when the worker starts, so that plugins which do not fit together stop it there.
_pollsters = plugins.enabled(plugins.COMPUTE, _settings, os.environ)
_sources = {source.name: source for source in sources.load(_settings.sources_file, _settings.poll_interval)}


@app.task(name="pollsters.poll_compute")
def poll_compute(order: Mapping[str, Any]) -> None:
    """Read this host once for one slot of one source, and send it. Safe to run again: nothing is read twice."""
    asked = PollOrder.parse(order)

    def take(source: Source, now: datetime) -> runner.Poll:
        seconds = (asked.deadline - datetime.now(UTC)).total_seconds() * READING_SHARE
        origin = runner.origin_text(asked.source, asked.slot, _settings.node)
        with _growths().poll(asked.key, now.timestamp()):
            return runner.poll_compute(_host(), _pollsters, source.wants, seconds, origin, now, node=_settings.node)

    _desk().answer(asked, take)


@cache
def _desk() -> Desk:
    return Desk(publisher_of(app, _settings), spool_of(_settings), _sources, _settings.node)


@cache
def _growths() -> Growths:
    spool = _desk().spool
    return Growths(spool.directory / "growth", kept=lambda key: spool.state(key) != "new")


@cache
def _host() -> ComputeHost:
    """Made at the first order, in the process that polls: a connection does not survive a fork."""
    return ComputeHost(
        lambda: libvirt_host.Connection(_settings.libvirt_uri),
        _settings.node,
        policy_of(_settings),
        _growths(),
        nova.details_of(_settings),
    )
