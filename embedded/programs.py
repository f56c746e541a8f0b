"""The processes of the whole system: how each is started, and what each is told.

In production the same commands run under the machine's own service manager.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded.keys import NODE_KEY
from metering import environment

_MANAGE = (sys.executable, "manage.py")
# Celery warns root at length; to run as root is for the one who starts us to choose.
_CELERY = (sys.executable, "-W", "ignore:You're running the worker", "-m", "celery", "--quiet", "-A", "metering")
# Gossip, mingle and heartbeats are all-to-all traffic between workers, of no use here.
_WORKER = ("worker", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO")


@dataclass(frozen=True)
class Program:
    """One process. Its name is also its role."""

    role: str
    command: tuple[str, ...]


def programs(node: str, folder: Path, bind: str) -> list[Program]:
    """Every process of one machine's system. ``folder`` is for their state, ``bind`` where the API listens."""

    def worker(role: str, queue: str, processes: int) -> Program:
        name = ("--hostname", f"{role}@%h", "--concurrency", str(processes))
        return Program(role, (*_CELERY, *_WORKER, "--queues", queue, *name))

    beat = ("beat", "--schedule", str(folder / "beat"), "--pidfile", "", "--loglevel", "INFO")
    api = ("-c", "python:metering.serving", "--bind", bind, "metering.wsgi")
    return [
        worker("samples", "samples", 2),
        worker("control", "control", 2),
        worker("central", "poll.central", 1),
        worker("compute", f"poll.{node}", 1),
        Program("consumer", (*_MANAGE, "collect_notifications")),
        Program("beat", (*_CELERY, *beat)),
        Program("api", (sys.executable, "-m", "gunicorn", *api)),
    ]


# Who may know what. A setting that is not named here is for every process.
_ONLY_FOR: Mapping[str, tuple[str, ...]] = {
    "DATABASE_URL": environment.WITH_DATABASE,
    "METERING_SECRETS": environment.WITH_SECRETS,
    "METERING_CEILOMETER_SECRETS": environment.WITH_SECRETS,
    "METERING_CEILOMETER_URL": ("samples",),
    "METERING_CACHE_URL": ("api",),
    "DJANGO_SECRET_KEY": ("api",),
    "METERING_KEYSTONE_PASSWORD": ("api",),
    "METERING_NOTIFICATION_URLS": ("consumer",),
    "METERING_ADMIN_PASSWORD": (),
    "METERING_TOKEN": (),
    "METERING_NODE": tuple(role for role in environment.ROLES if role != environment.CENTRAL),
    "DJANGO_SETTINGS_MODULE": (),  # each role knows whether it is a Django process
}


def environment_of(role: str, settings: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What a process of this role is told of all settings: no secret that is not its own."""
    told = {
        name: value
        for name, value in settings.items()
        if not name.startswith(NODE_KEY) and role in _ONLY_FOR.get(name.removesuffix("_FILE"), environment.ROLES)
    }
    if role in environment.WITH_NODE_KEY:
        told[NODE_KEY] = settings[f"{NODE_KEY}_{role.upper()}"]
    return told | {"METERING_ROLE": role, "METERING_SPOOL_DIR": str(folder / "spool" / role)}
