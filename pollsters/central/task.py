"""The task of a central worker: its share of what is asked of OpenStack's services."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from metering import environment, plugins, sources
from metering.celery import app
from metering.environment import CENTRAL
from metering.publish import publisher_of
from metering.sources import Source
from pollsters import runner
from pollsters.answering import Desk, spool_of
from pollsters.central.service import check
from pollsters.order import PollOrder
from pollsters.runner import Place

ASKING_SHARE = 0.7  # of the time left to the deadline; the rest is for sending

_settings = environment.load(os.environ)
check(os.environ)  # a cloud that clouds.yaml does not have stops the worker here
# Found when the worker starts, so that plugins which do not fit together stop it there.
_pollsters = plugins.enabled(plugins.CENTRAL, _settings, os.environ)
_sources = {source.name: source for source in sources.load(_settings.sources_file, _settings.poll_interval)}


@app.task(name="pollsters.poll_central")
def poll_central(order: Mapping[str, Any]) -> None:
    """Ask for one share of one slot of one source, and send it. Safe to run again: nothing is read twice."""
    asked = PollOrder.parse(order)

    def takes(place: Place) -> bool:
        return runner.share(place, asked.shards) == asked.shard

    def origin(place: Place) -> str:
        return runner.origin_text(asked.source, asked.slot, *place.parts)

    def take(source: Source, now: datetime) -> runner.Poll:
        seconds = (asked.deadline - now).total_seconds() * ASKING_SHARE
        poll = runner.poll_central(
            _pollsters, source.wants_somewhere, takes, origin, asked.due, seconds, source.wants_at
        )
        poll.read_at = now
        return poll

    _desk().answer(asked, take)


@cache
def _desk() -> Desk:
    """All central workers answer under one node name: whichever takes an order, the poll counts once."""
    return Desk(publisher_of(app, _settings), spool_of(_settings), _sources, CENTRAL)
