"""What is in quarantine, sent through again.

A row is marked before it is sent, and the mark is committed after our broker has confirmed what was made of it. Whoever
refuses the same body again writes to the same row: that write waits for ours, and has the last word.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Length

from metering import event_messages, messages
from metering.errors import MalformedBatch
from metering.event_messages import RECORD_EVENTS
from metering.messages import MOST_BYTES_READ
from metering.models import Quarantine
from metering.packing import pack_whole
from metering.publish import RECORD_SAMPLES, Publisher

MOST_ROWS = 100  # of a portion
MOST_BYTES = 8 << 20  # of the bodies of one, unless it is a single row
_PAGE = 1_000


def portions(rows: QuerySet[Quarantine]) -> Iterator[list[int]]:
    """The ids of the rows that are there now, in order, each once, in portions that are sent together."""
    portion: list[int] = []
    size = 0
    for id_, length in _sizes(rows):
        if portion and (len(portion) == MOST_ROWS or size + length > MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(id_)
        size += length
    if portion:
        yield portion


def _sizes(rows: QuerySet[Quarantine]) -> Iterator[tuple[int, int]]:
    """Each row's id and the length of its body, read page by page."""
    end = rows.aggregate(end=Max("pk"))["end"] or 0  # what comes in meanwhile is for the next time
    last = 0
    sized = rows.filter(pk__lte=end).order_by("pk").annotate(size=Length("body")).values_list("pk", "size")
    while page := list(sized.filter(pk__gt=last)[:_PAGE]):
        yield from page
        last = page[-1][0]


@contextmanager
def taken(ids: Iterable[int]) -> Iterator[list[Quarantine]]:
    """Those of the rows that are still kept and that nobody else is sending, locked as long as this lasts.

    In the order in which writers take them, so that none of us waits for the other for ever.
    """
    with transaction.atomic():
        rows = Quarantine.objects.filter(pk__in=list(ids), state=Quarantine.State.KEPT)
        yield list(rows.order_by("digest").select_for_update(skip_locked=True))


def send_again(ids: Iterable[int], publisher: Publisher) -> tuple[int, int]:
    """Send those of the rows that are batches or messages; how many were sent, and how many cannot be.

    Raises `BrokerAway`: then all of them stay as they are.
    """
    with taken(ids) as rows:
        fit = [row for row in rows if row.kind != Quarantine.Kind.NOTIFICATION and unfit(row) is None]
        mark(fit)
        send(fit, publisher)
    return len(fit), len(rows) - len(fit)


def mark(rows: Iterable[Quarantine]) -> None:
    """Say that the rows were sent through again. Within `taken`, and before they are sent."""
    Quarantine.objects.filter(pk__in=[row.pk for row in rows]).update(state=Quarantine.State.REPLAYED)


def unfit(row: Quarantine) -> str | None:
    """Why a batch or a message cannot be sent to the storage workers; None when it can."""
    try:
        text = bytes(row.body).decode()
    except UnicodeDecodeError:
        return "it is no text"
    if row.kind == Quarantine.Kind.BATCH:
        return _unfit_batch(text, _task(row))
    if len(text) > MOST_BYTES_READ // 2:
        return "it is longer than a batch may be"
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    return None if isinstance(message, dict) and "counter_name" in message else "it is no metering message"


def _unfit_batch(text: str, task: str) -> str | None:
    try:
        (event_messages if task == RECORD_EVENTS else messages).read(text)
    except MalformedBatch as exc:
        return f"it is no batch: {exc}"
    return None


def _task(row: Quarantine) -> str:
    """Which task takes the batch."""
    events = isinstance(row.details, dict) and row.details.get("task") == RECORD_EVENTS
    return RECORD_EVENTS if events else RECORD_SAMPLES


def send(rows: Iterable[Quarantine], publisher: Publisher) -> None:
    """Send batches as they are, and messages in new batches, each to be judged by its own signature.

    Returns when our broker has confirmed them. Raises `BrokerAway`.
    """
    texts = []
    for row in rows:
        if row.kind == Quarantine.Kind.BATCH:
            publisher.send(bytes(row.body).decode(), _task(row))
        else:
            texts.append(bytes(row.body).decode())
    for batch in pack_whole(texts, signer=publisher.signer, source=publisher.source):
        publisher.send(batch)
