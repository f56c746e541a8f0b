"""Which processes live on. A zombie does not: on a machine whose first process reaps nobody it only stays listed."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def outliving(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those of the processes that still live after so long; returns as soon as none does."""
    deadline = time.monotonic() + seconds
    left = list(processes)
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [process for process in left if alive(process)]
    return left
