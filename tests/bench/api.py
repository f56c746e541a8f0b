"""Questions of the API over HTTP, and a long answer in CSV: gunicorn's two processes as they are installed.

The ledger holds a month of `ledger_queries`, days that are over closed, as the control worker leaves them, and a poll
of now. A process of its own asks on loopback, over connections that stay open: first one question after the other,
each many times, which gives the times; then each from four at once, which gives the requests a second. Both are
bounded in number and time. Last it reads up to a million samples as CSV, while the processes' memory is looked at all
the time: what it grows by is counted from what it was after all those questions and a short such answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from embedded.daemon import Daemon, tied
from embedded.services import Postgres, free_port
from tests.services import listens, make_redis, the_only

ROOT = Path(__file__).parents[2]
STREAMED = 1_000_000  # samples at most
LOOK = 0.02  # seconds between two looks at the memory


def measure(folder: Path, size: int) -> dict[str, float]:
    """The figures, in the names that everybody knows them by."""
    programs = the_only("postgresql/*/bin/postgres", "postgresql").parent
    postgres = Postgres(programs, folder / "data", folder, folder / "log", free_port(), ())
    (folder / "redis").mkdir()
    redis = make_redis(folder / "redis", free_port())
    postgres.start()
    redis.start()
    try:
        settings = _settings(folder, postgres.url("postgres"), f"redis://127.0.0.1:{redis.port}/0")
        told = json.loads(_child(settings, "api_fill", str(size)))
        with _serving(settings, folder) as (pid, url):
            figures: dict[str, float] = json.loads(_child(settings, "api_load", url, json.dumps(told)))
            return {"api.samples": size} | figures | _streamed(settings, pid, url, told["admin"], min(size, STREAMED))
    finally:
        redis.daemon.stop()
        postgres.daemon.stop()


def _settings(folder: Path, database_url: str, cache_url: str) -> dict[str, str]:
    """What the API is told, and nothing else."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "METERING_ROLE": "api",
        "METERING_BROKER_URL": "amqp://nobody@127.0.0.1:1//",  # named, never spoken to
        "METERING_CACHE_URL": cache_url,
        "METERING_SECRETS": "bench:a secret of this run alone",
        "METERING_SPOOL_DIR": str(folder / "spool"),
        "DATABASE_URL": database_url,
        "DJANGO_SECRET_KEY": "a key that protects nothing but this run",
    }


def _child(settings: Mapping[str, str], module: str, *asked: str) -> str:
    """The last line that it prints: settings are read once, when a process starts."""
    command = [sys.executable, "-m", f"tests.bench.{module}", *asked]
    told = subprocess.run(command, cwd=ROOT, env=dict(settings), check=True, stdout=subprocess.PIPE, text=True).stdout
    return told.splitlines()[-1]


@contextmanager
def _serving(settings: Mapping[str, str], folder: Path) -> Iterator[tuple[int, str]]:
    """The pid and address of gunicorn with the product's own settings."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "python:metering.serving", "--bind", f"127.0.0.1:{port}"]
    environ = {**settings, "PYTHONPATH": str(ROOT)}
    daemon = Daemon("the API", tied([*command, "metering.wsgi"]), folder / "api.log", lambda: listens(port), environ)
    daemon.start()
    try:
        yield daemon.pid, f"http://127.0.0.1:{port}"
    finally:
        daemon.stop()


def _streamed(settings: Mapping[str, str], pid: int, url: str, token: str, samples: int) -> dict[str, float]:
    _child(settings, "api_load", url, token, str(samples // 100))
    workers = psutil.Process(pid).children()
    before = {worker.pid: worker.memory_info().rss for worker in workers}
    most, over = dict(before), threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            for worker in workers:
                most[worker.pid] = max(most[worker.pid], worker.memory_info().rss)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        figures: dict[str, float] = json.loads(_child(settings, "api_load", url, token, str(samples)))
    finally:
        over.set()
        watcher.join()
    return figures | {
        "api.csv_rss_mib": max(most.values()) / (1 << 20),
        "api.csv_rss_growth_mib": max(most[worker] - before[worker] for worker in before) / (1 << 20),
    }
