"""What `poll` measures, in a process of its own: a compute worker's settings are read once, when it starts.

``python -m tests.bench.poll_rounds 5`` prints the figures of 5 rounds as JSON; with ``orders`` instead it
sends a worker some orders and waits until it has answered them.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import libvirt

from metering.celery import app, settings
from metering.topology import SAMPLES

ORDERS = 6
SECONDS = 60.0  # that a poll may take
BULK = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_BLOCK
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_PERF
)


def main(asked: str) -> None:
    logging.disable(logging.INFO)
    if asked == "orders":
        _send_orders()
    else:
        json.dump(_rounds(int(asked)), sys.stdout)


def _rounds(rounds: int) -> dict[str, float]:
    from pollsters.compute.task import poll_compute

    connection = libvirt.openReadOnly(settings.libvirt_uri)
    guests = connection.numOfDomains()
    walls, cpus, bulks, samples = [], [], [], 0
    for slot in range(rounds + 1):  # the first one opens connections and reads definitions, and is not counted
        before = _waiting()
        cpu = time.process_time()
        walls.append(_seconds(partial(poll_compute, _order(slot))))
        cpus.append(time.process_time() - cpu)
        bulks.append(
            _seconds(lambda: connection.getAllDomainStats(BULK, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE))
        )
        samples = _waiting() - before
    if not samples:
        sys.exit("the polls sent nothing")
    per_guest = 1000 / guests
    return {
        "poll.wall_ms_per_guest": statistics.median(walls[1:]) * per_guest,
        "poll.wall_ratio_to_bulk": statistics.median(
            wall / bulk for wall, bulk in zip(walls[1:], bulks[1:], strict=True)
        ),
        "poll.cpu_ms_per_guest": statistics.median(cpus[1:]) * per_guest,
        "poll.bulk_wall_ms_per_guest": statistics.median(bulks[1:]) * per_guest,
        "poll.ceilometer_calls_wall_ms_per_guest": _seconds(lambda: _as_ceilometer(connection)) * per_guest,
    }


def _order(slot: int) -> dict[str, Any]:
    now = datetime.now(UTC)
    deadline = now + timedelta(seconds=SECONDS)
    return {
        "source": "default",
        "slot": slot,
        "due": now.isoformat(),
        "deadline": deadline.isoformat(),
        "shard": 0,
        "shards": 1,
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _as_ceilometer(connection: Any) -> None:
    """What Ceilometer 27's libvirt inspector asks for each guest: each of its four questions looks it up again."""
    for name in [domain.UUIDString() for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)]:
        domain = _looked_up(connection, name)  # CPU and memory
        domain.memoryStats()
        connection.domainListGetStats([domain], 0)
        domain = _looked_up(connection, name)  # interfaces
        domain.XMLDesc()
        domain.interfaceStats(f"tap{name[:8]}-0")
        domain = _looked_up(connection, name)  # counts of disks
        domain.XMLDesc()
        domain.blockStats("vda")
        domain.blockStatsFlags("vda")
        domain = _looked_up(connection, name)  # space on disks
        domain.XMLDesc()
        domain.blockInfo("vda")


def _looked_up(connection: Any, name: str) -> Any:
    domain = connection.lookupByUUIDString(name)
    domain.info()
    return domain


def _send_orders() -> None:
    before = _waiting()
    for slot in range(ORDERS):
        app.send_task("pollsters.poll_compute", (_order(slot),), routing_key=settings.node)
    until = time.monotonic() + SECONDS
    while _waiting() < before + ORDERS:  # each poll sends at least one batch
        if time.monotonic() > until:
            sys.exit("the worker did not answer its orders")
        time.sleep(0.1)
    time.sleep(1)


def _waiting() -> int:
    """How many batches the broker has for storage."""
    with app.connection_for_read() as connection:
        declared: Any = SAMPLES(connection.default_channel).queue_declare(passive=True)
        return int(declared.message_count)


if __name__ == "__main__":
    main(sys.argv[1])
