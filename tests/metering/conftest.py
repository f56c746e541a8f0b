"""The store as a worker meets it: this process remembers nothing of another test's rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metering.store import keys, partitions, resources


def _forget() -> None:
    keys.forget()
    partitions.forget()
    resources.forget()


@pytest.fixture
def ledger(db: None) -> Iterator[None]:
    """An empty ledger, in a transaction that is undone."""
    _forget()
    yield
    _forget()


@pytest.fixture
def shared_ledger(transactional_db: None) -> Iterator[None]:
    """An empty ledger that other threads and processes see."""
    _forget()
    yield
    _forget()
