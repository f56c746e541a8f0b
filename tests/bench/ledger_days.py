"""A day of samples, closed beside writers of late ones, and dropped.

The day has 1,000 series and a sample of each at every moment, inserted moment by moment, as polls bring them. While it
is closed, another connection stores late samples of it, a batch at a time: the longest that one of them took shows
what the swap costs. Then days of a tenth of the size and of the whole one are dropped, in turn: taken away, which
others wait for, and their files given back, which nobody does.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction

from metering.signing import Keyring
from metering.store import closing, partitions, retention, watermarks
from metering.store.copying import COLUMNS

SERIES = 1_000
KEYRING = Keyring({"bench": b"a secret of this run alone"})
# A million rows at most in one statement; the ids and signatures differ as real ones do.
_FILL = f"""
INSERT INTO sample ({COLUMNS})
SELECT series, moment, gen_random_uuid(), series * extract(epoch FROM moment), clock_timestamp(), series %% 50, 1,
    sha256(int8send(series) || timestamptz_send(moment))
FROM generate_series(%s::timestamptz, %s, %s) AS moment CROSS JOIN generate_series(1, {SERIES}) AS series
"""


def measure(moments: int, rounds: int) -> dict[str, float]:
    """The figures of a day of ``moments`` × 1,000 samples; of times the median of the rounds."""
    day = datetime.now(UTC).date() - timedelta(days=2)
    rows = _fill(day, moments)
    opened = _bytes(day)
    closing.close(day)
    closed = _bytes(day)
    began = time.perf_counter()
    with _late_writer(day) as waited:
        rewritten = closing.close(day) or 0
    seconds = time.perf_counter() - began
    figures = {
        "ledger.open_bytes_of_a_day": opened / rows,
        "ledger.closed_bytes": closed / rows,
        "ledger.close_rows_per_s": rewritten / seconds,
        "ledger.late_writer_median_ms": statistics.median(waited),
        "ledger.late_writer_longest_ms": max(waited),
    }
    _drop(day)
    small: list[tuple[float, float]] = []
    large: list[tuple[float, float]] = []
    for _ in range(rounds):
        for size, took in ((moments // 10, small), (moments, large)):
            _fill(day, size)
            _settle()
            took.append(_drop(day))
    ratios = [of_large / of_small for (of_large, _), (of_small, _) in zip(large, small, strict=True)]
    return figures | {
        "ledger.retention_ms": statistics.median(taken_away for taken_away, _ in large),
        "ledger.retention_growth": statistics.median(ratios),
        "ledger.retention_space_ms": statistics.median(given_back for _, given_back in large),
    }


def _fill(day: date, moments: int) -> int:
    """How many samples the day then has."""
    start, _ = partitions.bounds(day)
    step = timedelta(days=1) / moments
    partitions.forget()
    partitions.ensure([day])
    with connection.cursor() as cursor:
        for first in range(0, moments, 1_000):
            last = min(first + 1_000, moments) - 1
            cursor.execute(_FILL, [start + first * step, start + last * step, str(step)])
    return moments * SERIES


def _bytes(day: date) -> int:
    [found] = [found for found in partitions.days() if found.day == day]
    return found.bytes


@contextmanager
def _late_writer(day: date) -> Iterator[list[float]]:
    """Another connection, storing a batch of late samples after the other; how many ms each took."""
    stop = threading.Event()
    waited: list[float] = []

    def write() -> None:
        moment = partitions.bounds(day)[0] + timedelta(microseconds=1)
        while not stop.is_set():
            began = time.perf_counter()
            with transaction.atomic(), connection.cursor() as cursor:
                watermarks.writing(cursor)
                cursor.execute(_FILL, [moment, moment, "1 day"])
            waited.append(1_000 * (time.perf_counter() - began))
            moment += timedelta(microseconds=1)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield waited
    finally:
        stop.set()
        thread.join()


def _drop(day: date) -> tuple[float, float]:
    """How many ms it took until the day was gone, and then until its space was given back, for which nobody waits."""
    [found] = [found for found in partitions.days() if found.day == day]
    began = time.perf_counter()
    retention.take_away(found, KEYRING)
    gone = time.perf_counter()
    retention.give_back()
    return 1_000 * (gone - began), 1_000 * (time.perf_counter() - gone)


def _settle() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
