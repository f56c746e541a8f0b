"""A whole poll of real guests, beside the bare bulk call and beside what Ceilometer asks for each guest.

The guests are QEMU's, idle, one disk and one interface each, on a libvirtd of our own; the broker is RabbitMQ. A
poll is what the worker's task does for one order: read all statistics, make the counters of every plugin, pack,
sign, spool (synchronised to disk) and publish, confirmed. In each round one such poll and one
`getAllDomainStats` of the same groups take turns; what Ceilometer asks is asked once at the end. CPU is that of
our process, all its threads. PSS is that of a worker process and its child after a few polls of the same guests.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kombu
import psutil

from embedded.daemon import Daemon, tied
from embedded.services import free_port
from metering.signing import derive
from metering.topology import EXCHANGES, SAMPLES
from tests.libvirt_guests import Guest
from tests.libvirt_lab import LibvirtLab
from tests.services import RabbitMQ

NODE = "bench"
SECRET = b"a secret of this run alone"
MIB_OF_A_GUEST = 60  # at most; many share most of it
ROOT = Path(__file__).parents[2]


def measure(folder: Path, guests: int, rounds: int) -> dict[str, float]:
    """The figures, each the median of its rounds; with fewer guests where the machine cannot carry so many."""
    guests = max(1, min(guests, psutil.virtual_memory().available // (MIB_OF_A_GUEST << 20)))
    with _services(folder, guests) as (lab, broker):
        settings = _settings(folder, lab, broker)
        figures = _child(settings, folder, rounds)
        return {"poll.guests": guests, **figures, "poll.pss_mib": _pss(settings, folder)}


@contextlib.contextmanager
def _services(folder: Path, guests: int) -> Iterator[tuple[LibvirtLab, str]]:
    """The lab with its guests running, and the URL of a broker that has our exchanges."""
    for part in ("lab", "rabbitmq"):
        (folder / part).mkdir()
    lab, rabbitmq = LibvirtLab(folder / "lab"), RabbitMQ(folder / "rabbitmq", free_port())
    rabbitmq.launch()
    try:
        lab.launch()
        try:
            lab.wait_ready()
            _start(lab, [Guest(f"bench-{number:04}", idle=True) for number in range(guests)])
            rabbitmq.wait_ready()
            with kombu.Connection(rabbitmq.url) as connection:
                for declared in (*EXCHANGES, SAMPLES):
                    declared(connection.default_channel).declare()
            yield lab, rabbitmq.url
        finally:
            lab.close()
    finally:
        rabbitmq.close()


def _start(lab: LibvirtLab, guests: list[Guest]) -> None:
    for guest in guests:
        lab.define(guest)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lab.start, guests))


def _settings(folder: Path, lab: LibvirtLab, broker: str) -> dict[str, str]:
    """What a compute worker is told, and nothing else."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "METERING_ROLE": "compute",
        "METERING_NODE": NODE,
        "METERING_NODE_KEY": f"k1:{derive(SECRET, f'compute/{NODE}').hex()}",
        "METERING_BROKER_URL": broker,
        "METERING_LIBVIRT_URI": lab.read_only_uri,
        "METERING_SPOOL_DIR": str(folder / "spool"),
    }


def _child(settings: Mapping[str, str], folder: Path, rounds: int) -> dict[str, float]:
    """What is measured in a process that is a compute worker's, as its settings are read only once."""
    command = [sys.executable, "-m", "tests.bench.poll_rounds", str(rounds)]
    told = subprocess.run(command, cwd=ROOT, env=dict(settings), check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, float] = json.loads(told.splitlines()[-1])
    return figures


def _pss(settings: Mapping[str, str], folder: Path) -> float:
    """MiB of memory of a worker's processes after some polls, what they share counted once."""
    log = folder / "worker.log"
    environ = {**settings, "METERING_SPOOL_DIR": str(folder / "spool-of-the-worker")}
    command = [sys.executable, "-m", "celery", "-A", "metering", "worker", "-Q", f"poll.{NODE}", "--loglevel", "INFO"]
    worker = Daemon("the worker", tied(command), log, lambda: " ready." in log.read_text(), environ)
    worker.start()
    try:
        subprocess.run([sys.executable, "-m", "tests.bench.poll_rounds", "orders"], cwd=ROOT, env=environ, check=True)
        processes = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        return sum(process.memory_full_info().pss for process in processes) / (1 << 20)
    finally:
        worker.stop()
