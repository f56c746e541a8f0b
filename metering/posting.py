"""Samples that a client of the API hands in: judged as the storage worker will, then sent to it, or stored at once.

All of a post or nothing: what is wrong with one sample is said before any is stored or sent.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.db import DatabaseError

from metering import messages, packing
from metering.celery import app
from metering.counters import Counter
from metering.environment import Environment
from metering.errors import BrokerAway, PostRefused
from metering.models import RollupState, Sample
from metering.publish import Publisher, publisher_of
from metering.sifting import Genuine, Rules, Sifted, Sifter
from metering.store import posts, receipts, writing
from metering.tasks.attempts import passes
from metering.telling import tell_others

log = logging.getLogger(__name__)

CONFIRM_SECONDS = 10  # a client waits

_storing = threading.Lock()  # the writer remembers ids for its process, not for several threads at once


@dataclass(frozen=True, slots=True)
class Posted:
    """A sample as it was handed in, completed but for its id."""

    counter: Counter  # its timestamp may be None: the moment of the post
    source: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a sample got when it was taken."""

    message_id: str
    timestamp: datetime


def post(posted: Sequence[Posted], settings: Environment, *, key: str | None = None, direct: bool) -> list[Accepted]:
    """Take all these samples, in the order given: ``direct`` stores them before it returns.

    Otherwise the broker has confirmed them, in one batch; what does not fit into one is stored at once as well, in
    one transaction. A post again with the same ``key`` is the same samples. Raises `PostRefused` with the reason,
    `BrokerAway`, and Django's errors of a database that does not answer: then nothing was stored.
    """
    moment = datetime.now(UTC)
    if key is not None and any(item.counter.timestamp is None for item in posted):
        moment = posts.first_moment(_digest(key), moment)
    timed = [_timed(item, moment, key) for item in posted]
    publisher = replace(publisher_of(app, settings), confirm_seconds=CONFIRM_SECONDS)
    batches, ids = _pack(timed, publisher)
    sifted = _judged(batches, Rules.of(settings))
    if direct or len(batches) > 1:
        _store(sifted, settings)
    else:
        _check_age(sifted.genuine)
        if key is not None:  # without one no sample has the id of another
            _check_against_stored(sifted.genuine)
        publisher.send(batches[0])
    return [Accepted(id_, item.counter.timestamp or moment) for id_, item in zip(ids, timed, strict=True)]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _timed(item: Posted, moment: datetime, key: str | None) -> Posted:
    counter = item.counter
    origin = None if key is None else f"post:{_digest(key).hex()}"
    return replace(item, counter=replace(counter, timestamp=counter.timestamp or moment, origin=origin))


def _pack(posted: Sequence[Posted], publisher: Publisher) -> tuple[list[str], list[str]]:
    """Signed batches, one source each, and the samples' ids in the order of the samples."""
    places: dict[str, list[int]] = {}
    for place, item in enumerate(posted):
        places.setdefault(item.source, []).append(place)
    batches: list[str] = []
    ids = [""] * len(posted)
    for source, mine in places.items():
        texts = packing.pack((posted[place].counter for place in mine), signer=publisher.signer, source=source)
        rows = [row for text in texts for row in messages.read(text).rows]
        if len(rows) != len(mine):  # whoever posts has checked them; what is left out here was logged
            raise PostRefused("a field of a sample is out of bounds")
        for place, row in zip(mine, rows, strict=True):
            ids[place] = row[9]
        batches += texts
    return batches, ids


def _judged(batches: Sequence[str], rules: Rules) -> Sifted:
    """What the storage worker would find: every message genuine, else `PostRefused`."""
    sifter, now, disabled = Sifter(rules), datetime.now(UTC), receipts.disabled()
    judged = [sifter.sift(messages.read(text), now, disabled) for text in batches]
    for part in judged:
        if part.refused:
            raise PostRefused(part.refused[0].reason)
    return Sifted([item for part in judged for item in part.genuine], receipt=judged[0].receipt)


def _store(sifted: Sifted, settings: Environment) -> None:
    try:
        with _storing:
            writing.record(sifted, datetime.now(UTC), whole=True)
    except DatabaseError as exc:
        if passes(exc):
            raise
        raise PostRefused(f"the database refused it: {str(exc).strip()}") from exc
    try:
        tell_others(app, sifted.genuine, settings)
    except BrokerAway as exc:
        log.error("%d posted samples are stored, and others were not told of them: %s", len(sifted.genuine), exc)


def _check_age(genuine: Sequence[Genuine]) -> None:
    """That none lies in a day that has expired. Raises `PostRefused`."""
    raw_from = RollupState.objects.values_list("raw_from", flat=True).first()
    if raw_from is not None and any(item.ts < raw_from for item in genuine):
        raise PostRefused(writing.expired(raw_from))


def _check_against_stored(genuine: Sequence[Genuine]) -> None:
    """That under their ids nothing else is stored. Raises `PostRefused`."""
    wanted = {(item.message_id, item.series.digest): item for item in genuine}
    stored = Sample.objects.filter(
        ts__in={item.ts for item in genuine},
        message_id__in=[item.message_id for item in genuine],
        series__digest__in={item.series.digest for item in genuine},
    )
    for id_, digest, volume, body in stored.values_list("message_id", "series__digest", "volume", "metadata__body"):
        item = wanted.get((str(id_), bytes(digest)))
        if item is not None and (item.volume != volume or item.metadata != body):
            raise PostRefused(writing.DIFFERS)
