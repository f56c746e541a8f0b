"""Bytes to committed rows: the storage task beside raw COPY of the same rows into the same table.

A batch is a poll of 50 guests with one disk and one port, 20 meters each: 1,000 samples, 150 resources, 50
metadata. In each round the task's own function stores a fresh set of batches, one process, one transaction a
batch; then the same rows, read back in the order they were written, are copied into the emptied table, again
one transaction for each 1,000. CPU is that of the worker; the server's own process works beside it.
"""

from __future__ import annotations

import io
import logging
import statistics
import time
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from metering import messages, packing
from metering.counters import Counter, Kind
from metering.signing import Keyring
from metering.store.copying import COLUMNS
from metering.tasks.storage import record, sifter

GUESTS, METERS = 50, 20


def measure(batches: int, rounds: int) -> dict[str, float]:
    """The figures, each the median of its rounds."""
    logging.disable(logging.INFO)
    start = datetime.now(UTC) - timedelta(days=1)
    stored, copied, cpu, verified = [], [], [], []
    for number in range(rounds + 1):  # the first one warms up, and is not counted
        texts = [_batch(start, number * batches + minute) for minute in range(batches)]
        _empty()
        began, cpu_began = time.perf_counter(), time.process_time()
        for text in texts:
            record(text, sifter())
        stored.append(batches * 1_000 / (time.perf_counter() - began))
        cpu.append((time.process_time() - cpu_began) / batches * 1_000)  # µs a sample
        verified.append(_verify(texts))
        copied.append(_copy(batches))
    ratios = [ours / raw for ours, raw in zip(stored[1:], copied[1:], strict=True)]
    return {
        "ledger.samples_per_s": statistics.median(stored[1:]),
        "ledger.copy_rows_per_s": statistics.median(copied[1:]),
        "ledger.ratio_to_copy": statistics.median(ratios),
        "ledger.worker_cpu_us_a_sample": statistics.median(cpu[1:]),
        "ledger.verify_us_a_sample": statistics.median(verified[1:]),
    }


def _batch(start: datetime, minute: int) -> str:
    moment = start + timedelta(minutes=minute % 1_400, microseconds=minute)
    signer = Keyring({"bench": b"a secret of this run alone"}).signer(f"compute/host-{minute % 10}")
    poll = messages.Poll("default", minute, read_at=moment, guests=GUESTS)
    [text] = packing.pack(_counters(moment, minute % 10), signer=signer, source="openstack", poll=poll)
    return text


def _counters(moment: datetime, host: int) -> list[Counter]:
    counters = []
    for guest in range(GUESTS):
        instance = f"{host:08x}-0000-4000-8000-{guest:012x}"
        about = {
            "display_name": f"web-{guest}",
            "flavor": {"name": "m1.small", "vcpus": 1, "ram": 2048},
            "host": f"host-{host}",
        }
        for meter in range(METERS):
            resource = (instance, f"{instance}-vda", f"instance-{guest:08x}-{instance}-tap0")[meter % 3]
            counters.append(
                Counter(
                    f"meter.number.{meter}",
                    Kind.CUMULATIVE,
                    "B",
                    moment.timestamp() * (meter + 1),
                    "user",
                    f"project-{guest % 7}",
                    resource,
                    moment,
                    about,
                    f"poll {moment}",
                )
            )
    return counters


def _verify(texts: list[str]) -> float:
    """µs to read and verify a sample, nothing stored."""
    began = time.process_time()
    for text in texts[:10]:
        sifter().sift(messages.read(text), datetime.now(UTC))
    return (time.process_time() - began) / min(10, len(texts)) * 1_000


def _copy(batches: int) -> float:
    """Rows/s of COPY alone: what is in the table, into the emptied table."""
    text = io.StringIO()
    with connection.cursor() as cursor:
        # In batches as they were written, each sorted by key.
        cursor.copy_expert(
            f"COPY (SELECT {COLUMNS} FROM sample ORDER BY recorded_at, series_id, ts, message_id) TO STDOUT", text
        )
    lines = text.getvalue().splitlines(keepends=True)
    chunks = ["".join(lines[place : place + 1_000]) for place in range(0, len(lines), 1_000)]
    _empty()
    began = time.perf_counter()
    for chunk in chunks:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.copy_expert(f"COPY sample ({COLUMNS}) FROM STDIN", io.StringIO(chunk))
    return len(lines) / (time.perf_counter() - began)


def _empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE sample")
        cursor.execute("CHECKPOINT")
