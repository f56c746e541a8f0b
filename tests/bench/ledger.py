"""Bytes to committed rows: the storage task beside its limit, which is COPY of the same rows and one HMAC for each.

In each round the storage worker's own task stores a fresh set of batches (see polls.py), one process, one
transaction a batch; then the same rows, in the order they were written, are copied into the emptied table, again
one transaction for each 1,000, in the form that is the fastest. CPU is that of the worker and of the server's
process that works for it, which the kernel tells in hundredths of a second. The limit is what a core could do that
did nothing but these two things: COPY, and the standard library's HMAC. Ours, with the key hashed once, is told too.
"""

from __future__ import annotations

import hmac
import io
import logging
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db import connection, transaction

from metering import messages
from metering.store.copying import COLUMNS
from metering.tasks.storage import record_samples, sifter
from tests.bench import polls
from tests.bench.writers import Writers

SIGNED_BYTES = 420  # of a sample, of the batches here


@dataclass(frozen=True)
class Cost:
    """What something took, for each sample."""

    wall: float  # µs
    worker: float  # µs of its CPU
    backend: float  # µs of the server's process

    @property
    def cpu(self) -> float:
        return self.worker + self.backend


def measure(batches: int, rounds: int, folder: Path) -> dict[str, float]:
    """The figures, each the median of its rounds."""
    logging.disable(logging.INFO)
    start = datetime.now(UTC) - timedelta(days=1)
    stored, copied, signed, signed_by_us, verified, scaled = [], [], [], [], [], []
    with Writers(2, folder) as writers:
        for number in range(rounds + 1):  # the first one warms up, and is not counted
            texts = [polls.batch(start, number * batches + minute) for minute in range(batches)]
            empty()
            stored.append(cost(texts, record_samples))
            verified.append(cost(texts, lambda text: sifter().sift(messages.read(text), datetime.now(UTC))).worker)
            chunks = _chunks()
            empty()
            copied.append(cost(chunks, _copy))
            signed.append(_hmac(lambda texts: [hmac.digest(bytes(32), text, "sha256") for text in texts]))
            signed_by_us.append(_hmac(polls.signer(0).digests))
            scaled.append(_scaling(writers, texts))
    bytes_a_sample = _open_bytes(start, 4 * batches)
    return _figures(stored[1:], copied[1:], signed[1:]) | {
        "ledger.own_hmac_us": statistics.median(signed_by_us[1:]),
        "ledger.verify_us_a_sample": statistics.median(verified[1:]),
        "ledger.two_writers": statistics.median(scaled[1:]),
        "ledger.open_bytes": bytes_a_sample,
    }


def _figures(stored: Sequence[Cost], copied: Sequence[Cost], signed: Sequence[float]) -> dict[str, float]:
    def median(of: Callable[[Cost, Cost, float], float]) -> float:
        return statistics.median(of(*found) for found in zip(stored, copied, signed, strict=True))

    return {
        "ledger.samples_per_s": median(lambda ours, raw, sign: 1e6 / ours.wall),
        "ledger.samples_per_s_core": median(lambda ours, raw, sign: 1e6 / ours.cpu),
        "ledger.worker_cpu_us_a_sample": median(lambda ours, raw, sign: ours.worker),
        "ledger.backend_cpu_us_a_sample": median(lambda ours, raw, sign: ours.backend),
        "ledger.copy_rows_per_s": median(lambda ours, raw, sign: 1e6 / raw.wall),
        "ledger.copy_cpu_us_a_row": median(lambda ours, raw, sign: raw.cpu),
        "ledger.hmac_us": median(lambda ours, raw, sign: sign),
        "ledger.ratio_to_limit": median(lambda ours, raw, sign: (raw.cpu + sign) / ours.cpu),
        "ledger.ratio_to_copy": median(lambda ours, raw, sign: raw.wall / ours.wall),
    }


def cost(things: Sequence[object], work: Callable[..., object], samples: int | None = None) -> Cost:
    """What it takes to do it with each: batches, or rows of as many samples, or what has so many samples in all."""
    samples = len(things) * polls.SAMPLES if samples is None else samples
    backend, worker, wall = _backend_seconds(), time.process_time(), time.perf_counter()
    for thing in things:
        work(thing)
    wall, worker = time.perf_counter() - wall, time.process_time() - worker
    spent = wall, worker, _backend_seconds() - backend
    return Cost(*(seconds / samples * 1e6 for seconds in spent))


def _backend_seconds() -> float:
    """CPU that the server's process behind this connection has used so far, in user and kernel mode."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


_HEAD, _TAIL = 19, 2  # bytes of COPY's binary form before and after the rows


def _chunks() -> list[bytes]:
    """What is in the table, as it was written: a thousand rows of one batch, sorted by key."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT recorded_at FROM sample ORDER BY recorded_at")
        chunks = []
        for (moment,) in cursor.fetchall():
            rows = io.BytesIO()
            of_batch = f"WHERE recorded_at = '{moment.isoformat()}' ORDER BY series_id, ts, message_id"
            cursor.copy_expert(f"COPY (SELECT {COLUMNS} FROM sample {of_batch}) TO STDOUT (FORMAT binary)", rows)
            chunks.append(rows.getvalue())
    return chunks


def _copy(chunk: bytes) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.copy_expert(f"COPY sample ({COLUMNS}) FROM STDIN (FORMAT binary)", io.BytesIO(chunk), 1 << 16)


def _hmac(digests: Callable[[list[bytes]], object]) -> float:
    """µs of an HMAC-SHA256 over what is signed of a sample."""
    texts = [bytes(SIGNED_BYTES)] * 20_000
    began = time.process_time()
    digests(texts)
    return (time.process_time() - began) / len(texts) * 1e6


def _scaling(writers: Writers, texts: Sequence[str]) -> float:
    """How many times as many samples two workers store in a second as one does."""
    empty()
    one = writers.store([texts])
    empty()
    two = writers.store([texts[::2], texts[1::2]])
    return one / two


def _open_bytes(start: datetime, batches: int) -> float:
    """Bytes of table and index a sample, as the writer leaves them."""
    empty()
    for minute in range(batches):
        record_samples(polls.batch(start, minute))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(relid)) / (SELECT count(*) FROM sample) FROM pg_partition_tree('sample')"
        )
        return float(cursor.fetchone()[0])


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE sample")
        cursor.execute("CHECKPOINT")
