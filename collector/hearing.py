"""A body, heard: what the listeners make of it, and what went wrong. Knows no broker; used by consumer and replay."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from collector.events.keeping import EventKeeper
from collector.index import Index, Subscription
from collector.notification import Notification, decode, event_type_of, parse
from metering.bounds import check_series, check_volume
from metering.counters import Counter, Metadata
from metering.errors import BadCounter, BadReading, MalformedNotification
from metering.events import Event
from metering.identity import EPOCH
from metering.packing import write_metadata

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a notification, or a listener's part of it, could not be used."""

    reason: str  # one line; names the listener when it was one
    error: str  # the traceback's last line


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one body."""

    event_type: str | None = None  # None: not even that could be read
    message_id: str | None = None  # None: nobody wants it, or it is malformed
    counters: tuple[Counter, ...] = ()
    failures: tuple[Failure, ...] = ()
    event: Event | None = None
    whole: tuple[str, ...] = ()  # metering messages as they came, signed by somebody else


def hear(body: bytes | str, exchange: str, index: Index) -> Heard:
    """Let every listener that wants this notification make its counters. Raises nothing that a body can cause."""
    try:
        message = decode(body, exact=exchange in index.relayed)
    except MalformedNotification as exc:
        return malformed(exc)
    return hear_message(message, exchange, index)


def hear_message(message: Mapping[str, Any], exchange: str, index: Index) -> Heard:
    """The same, for what is decoded already."""
    event_type = None
    try:
        event_type = event_type_of(message)
        listeners = index.find(exchange, event_type)
        if not listeners and index.events is None:
            return Heard(event_type)
        notification = parse(message)
    except MalformedNotification as exc:
        return malformed(exc, event_type)
    if index.events is None:
        return _ask(listeners, notification)
    # The queue is bound for events as well: a listener hears the priorities that it asked for.
    heard = _ask([one for one in listeners if one.hears(notification.priority)], notification)
    return _with_event(heard, index.events, notification)


def _with_event(heard: Heard, keeper: EventKeeper, notification: Notification) -> Heard:
    """The same with the notification's event or, where it cannot be one, with that as a failure."""
    try:
        return replace(heard, event=keeper.converter.event(notification))
    except Exception as exc:  # an operator's paths meet anybody's payload: it costs the event only
        log.warning("no event of %s %s", notification.event_type, notification.message_id, exc_info=True)
        failure = Failure(f"its event could not be made: {exc}", _last_line(exc))
        return replace(heard, failures=(*heard.failures, failure))


def malformed(exc: Exception, event_type: str | None = None) -> Heard:
    """What becomes of a body that cannot be read."""
    return Heard(event_type, failures=(Failure(f"malformed: {exc}", _last_line(exc)),))


def _ask(listeners: Iterable[Subscription], notification: Notification) -> Heard:
    counters: list[Counter] = []
    failures: list[Failure] = []
    whole: list[str] = []
    for subscription in listeners:
        try:
            if subscription.relays:
                whole += list(subscription.listener.whole(notification))
                continue
            # All of a listener's counters or none: half of them would look like the whole. But for those that it
            # gives up itself, one of several: that is told.
            bad: list[BadReading] = []
            counters += list(_counters(subscription, notification, bad))
            failures += [Failure(f"listener {subscription.name} failed in part", _last_line(exc)) for exc in bad]
        except Exception as exc:  # a listener is anybody's code: it costs itself only
            log.warning(
                "listener %s failed on %s %s",
                subscription.name, notification.event_type, notification.message_id, exc_info=True,
            )  # fmt: skip
            failures.append(Failure(f"listener {subscription.name} failed", _last_line(exc)))
    return Heard(notification.event_type, notification.message_id, tuple(counters), tuple(failures), whole=tuple(whole))


def _counters(subscription: Subscription, notification: Notification, bad: list[BadReading]) -> Iterator[Counter]:
    """A listener's counters, with the notification's time and origin where it left them out.

    What it gave up goes into ``bad``.
    """
    known: dict[int, tuple[Mapping[str, Any], Metadata]] = {}  # by id: what was handed over, and what goes on
    checked: tuple[str | None, ...] = ()  # the ids of the last one: nearly always all are of one resource
    for made in subscription.listener.counters(notification):
        if isinstance(made, BadReading):
            bad.append(made)
            continue
        if not isinstance(made, Counter):
            raise BadCounter(f"it yielded a {type(made).__name__} instead of a Counter")
        ids = made.user_id, made.project_id, made.resource_id
        if ids != checked:
            check_series(made.name, made.type, made.unit, *ids)
            checked = ids
        _check_meter(made.name, made.type, made.unit)
        metadata = made.resource_metadata
        if id(metadata) not in known:
            known[id(metadata)] = metadata, _written(metadata)
        yield _completed(made, notification, known[id(metadata)][1])


@lru_cache(maxsize=1_024)
def _check_meter(name: str, type_: str, unit: str) -> None:
    check_series(name, type_, unit, None, None, "any")


def _completed(made: Counter, notification: Notification, metadata: Metadata) -> Counter:
    """The counter as it goes on. Raises `MeteringError` for what could not become a sample: here its notification
    is still at hand, and is kept.
    """
    check_volume(made.volume)
    timestamp = made.timestamp or notification.timestamp
    if timestamp < EPOCH:
        raise BadCounter(f"its time {timestamp} lies before 1970")
    if made.timestamp is not None and made.origin and metadata is made.resource_metadata:
        return made  # as all that rows make
    return Counter(
        made.name, made.type, made.unit, made.volume, made.user_id, made.project_id, made.resource_id,
        timestamp, metadata, made.origin or notification.message_id,
    )  # fmt: skip


def _written(metadata: Mapping[str, Any]) -> Metadata:
    """The metadata with its text, which is made only once. Raises `MalformedMessage` when it is out of bounds."""
    if isinstance(metadata, Metadata) and hasattr(metadata, "written"):
        return metadata  # of another row of the same notification
    written = write_metadata(metadata)  # first: it also says what is no mapping
    ready = metadata if isinstance(metadata, Metadata) else Metadata(metadata)
    ready.written = written
    return ready


def _last_line(exc: BaseException) -> str:
    return traceback.format_exception_only(exc)[-1].strip().splitlines()[-1]
