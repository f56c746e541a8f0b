"""Samples as PostgreSQL sends them in its binary form: a tenth of what model instances cost."""

from __future__ import annotations

import io
import re
import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from django.db import connection

from metering.models.questions import Window
from metering.store.partitions import bounds

PAGE = 20_000  # rows of one statement: nothing is kept open between two, so a pooled connection will do

_COLUMNS = "series_id, ts, message_id, volume, metadata_id, signer_id"
# A signature of another length is shown as one that fits nothing: each row then has the same form.
_SIGNATURE = "CASE WHEN octet_length(signature) = 32 THEN signature ELSE decode(repeat('00', 32), 'hex') END"
_HEAD, _TAIL = 19, 2  # bytes around the rows of a binary COPY
_ROW = struct.Struct(">2x 4xi 4xq 4x16s 4xd 4xi 4xi 4x32s")  # before each column stands its length
_ZERO = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's times are microseconds since then
_BOUND = re.compile(r"FROM \('(\d{4}-\d\d-\d\d)")  # of a partition
_LAST_SERIES = (1 << 31) - 1

Key = tuple[int, datetime, uuid.UUID]


# Series, microseconds since 2000, message_id, volume, metadata, signer, signature. Not named: that doubles the cost.
Row = tuple[int, int, bytes, float, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which samples are wanted; None is any."""

    window: Window = field(default_factory=Window)
    meter: str | None = None
    resource_id: str | None = None
    recorded_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """The samples of one day (UTC) and of a range of series."""

    day: date
    first_series: int = 0
    last_series: int = _LAST_SERIES


def key_of(row: Row) -> Key:
    """The row's key, as a model instance has it."""
    return row[0], moment(row[1]), uuid.UUID(bytes=row[2])


def moment(time: int) -> datetime:
    """A row's time, as the rest of us know it."""
    return _ZERO + timedelta(microseconds=time)


def stored_days() -> list[date]:
    """The days that have a partition of samples, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class "
            "JOIN pg_inherits ON inhrelid = oid WHERE inhparent = 'sample'::regclass"
        )
        bounds = [_BOUND.search(bound) for (bound,) in cursor.fetchall()]
    return sorted(date.fromisoformat(bound[1]) for bound in bounds if bound)


def parts(choice: Choice, pieces: int = 1) -> list[Part]:
    """The chosen days that are stored, each cut into up to so many pieces by its series; in order."""
    first, last = (None if side is None else side.astimezone(UTC).date() for side in _sides(choice))
    days = [day for day in stored_days() if (first is None or day >= first) and (last is None or day <= last)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(min(id), 0), COALESCE(max(id), 0) FROM series")
        low, high = cursor.fetchone()
    step = (high - low) // pieces + 1
    # The first and the last reach further: to samples whose series is gone.
    starts = [0, *range(low + step, high + 1, step)]
    ends = [start - 1 for start in starts[1:]] + [_LAST_SERIES]
    return [Part(day, first, last) for day in days for first, last in zip(starts, ends, strict=True)]


def _sides(choice: Choice) -> tuple[datetime | None, datetime | None]:
    return choice.window.start, choice.window.end


def pages(part: Part, choice: Choice, size: int = PAGE) -> Iterator[Sequence[Row]]:
    """The chosen samples of the part in the order of their key, a page at a time."""
    last: Row | None = None
    while page := _page(part, choice, last, size):
        yield page
        last = page[-1]


def _page(part: Part, choice: Choice, last: Row | None, size: int) -> list[Row]:
    conditions, values = _conditions(part, choice)
    if last is not None:
        conditions.append("(series_id, ts, message_id) > (%s, %s, %s::uuid)")
        values += [last[0], moment(last[1]), str(uuid.UUID(bytes=last[2]))]
    statement = (
        f"COPY (SELECT {_COLUMNS}, {_SIGNATURE} FROM sample WHERE {' AND '.join(conditions)} "
        f"ORDER BY sample.series_id, ts, message_id LIMIT {size}) TO STDOUT (FORMAT binary)"
    )
    received = io.BytesIO()
    with connection.cursor() as cursor, connection.wrap_database_errors:  # Django translates no errors of COPY itself
        cursor.copy_expert(cursor.mogrify(statement, values), received)
    return list(_ROW.iter_unpack(received.getbuffer()[_HEAD:-_TAIL]))


def _conditions(part: Part, choice: Choice) -> tuple[list[str], list[object]]:
    conditions = ["ts >= %s", "ts < %s", "series_id BETWEEN %s AND %s"]
    values: list[object] = [*bounds(part.day), part.first_series, part.last_series]
    for condition, value in zip(("ts >= %s", "ts < %s"), _sides(choice), strict=True):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if choice.recorded_before is not None:
        conditions.append("recorded_at < %s")
        values.append(choice.recorded_before)
    of_series = {"meter": choice.meter, "resource_id": choice.resource_id}
    for column, wanted in of_series.items():
        if wanted is not None:
            conditions.append(f"series_id IN (SELECT id FROM series WHERE {column} = %s)")
            values.append(wanted)
    return conditions, values
