"""Verifying what is stored, one process: `verify_samples`' own verifier over all samples of a day.

CPU is that of the verifier and of the server's process that reads for it: a core has to do both. Beside it, the
digest of the same day, which reads and hashes every row of it.
"""

from __future__ import annotations

import statistics
from datetime import UTC, date, datetime, timedelta
from functools import partial

from metering.store import digests, raw_rows
from metering.store.raw_rows import Choice
from metering.store.verification import Verifier
from metering.tasks.storage import record_samples
from tests.bench import ledger, polls


def measure(batches: int, rounds: int) -> dict[str, float]:
    """The figures, each the median of its rounds; the table is left as it was filled."""
    start = datetime.now(UTC) - timedelta(days=1)
    ledger.empty()
    for minute in range(batches):
        record_samples(polls.batch(start, minute))
    verified, hashed = [], []
    for _ in range(rounds):
        verifier = Verifier(polls.KEYRING, ())  # which remembers nothing
        cost = ledger.cost(raw_rows.parts(Choice()), partial(_verify, verifier), batches * polls.SAMPLES)
        verified.append(1e6 / cost.cpu)
        days = raw_rows.stored_days()
        hashed.append(1e6 / ledger.cost(days, _digest, batches * polls.SAMPLES).cpu)
    return {
        "ledger.verify_per_s_core": statistics.median(verified),
        "ledger.digest_per_s_core": statistics.median(hashed),
    }


def _verify(verifier: Verifier, part: raw_rows.Part) -> None:
    found = verifier.check(Choice(), part)
    if found.reasons:
        raise AssertionError(f"of the samples stored for it, some do not verify: {found.reasons}")


def _digest(day: date) -> None:
    digests.content(day, None, datetime.now(UTC) + timedelta(days=1))
