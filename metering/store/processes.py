"""Long work on the ledger, shared between processes of this machine."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import django

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_turn(work: Callable[[Item], Result], items: Sequence[Item], processes: int) -> Iterator[Result]:
    """What ``work`` makes of each item, in the items' order, whichever is ready first.

    With one process it is done here. ``work`` must be a function that another process can import.
    Left early, it waits for what was begun and begins no more. Raises `BrokenProcessPool` when a process was killed.
    """
    if processes == 1:
        yield from map(work, items)
        return
    # New interpreters: a fork would share the database connection.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin)
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of us, and the parent decides
    django.setup()
