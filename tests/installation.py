"""A whole installation as its operator runs it: real processes, over the services of a test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from embedded import keys
from embedded.daemon import Daemon, tied
from embedded.programs import environment_of, programs
from embedded.services import free_port
from metering.models import PollSlot
from metering.signing import Keyring
from pollsters.runner import HYPERVISOR
from tests.stage import SECRETS

ROOT = Path(__file__).parents[1]
NODE = "host-1"
MASTER_SECRETS = {kid: secret.encode() for kid, _, secret in (pair.partition(":") for pair in SECRETS.split(","))}
KEYRING = Keyring(MASTER_SECRETS)
PATIENCE = 60.0  # seconds that a test waits for what must come


def wait_for(found: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until it is so; fail, saying what was waited for, when it does not come."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still not: {what}"
        time.sleep(0.05)


def polls_read() -> QuerySet[PollSlot]:
    """The host's polls that came whole, but for those that say that nothing was read, and have nothing.

    On a busy machine a poll's second may be over before libvirt's connection is open.
    """
    return PollSlot.objects.filter(node=NODE, received=1).exclude(errors={HYPERVISOR: 1}, samples=0)


@dataclass
class Installation:
    """Processes by role, all told of one broker and one database."""

    folder: Path
    broker_url: str
    database_url: str
    told: Mapping[str, str] = field(default_factory=dict)  # further settings, of every process
    port: int = field(default_factory=free_port)
    running: dict[str, Daemon] = field(default_factory=dict)

    def __post_init__(self) -> None:
        outer = {"METERING_SECRETS": SECRETS, "METERING_NODE": NODE}
        self.settings = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "TMPDIR": str(self.folder),  # who is killed leaves things there
            "METERING_BROKER_URL": self.broker_url,
            "METERING_NOTIFICATION_URLS": self.broker_url,
            "DATABASE_URL": self.database_url,
            "METERING_LIBVIRT_URI": "test:///default",
            "METERING_POLL_INTERVAL": "1",
            "METERING_CENTRAL_SHARDS": "2",
            "METERING_RETENTION_DAYS": "0",  # recorded notifications grow old
            **keys.make(self.folder / "secrets.env", outer),
            **self.told,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *roles: str, **told: str) -> None:
        """Start one process of each role, and wait until all of them work."""
        started = [self._daemon(role, told) for role in roles]
        for daemon in started:
            daemon.launch()
        for daemon in started:
            daemon.wait_ready()

    def kill(self, role: str) -> None:
        """End a process and its children as a power cut would."""
        daemon = self.running.pop(role)
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait_ended()

    def stop(self, role: str) -> None:
        self.running.pop(role).stop()

    def close(self) -> None:
        for role in list(self.running):
            self.kill(role)

    def log(self, role: str) -> str:
        path = self._log(role)
        return path.read_text() if path.exists() else ""

    def manage(self, *arguments: str, status: int = 0, **told: str) -> str:
        """What an operator's command prints."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.settings | told, check=False, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def get(self, path: str, token: str) -> Any:
        """The API's answer."""
        request = urllib.request.Request(f"{self.url}{path}", headers={"X-Auth-Token": token})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def _daemon(self, role: str, told: Mapping[str, str]) -> Daemon:
        [program] = [p for p in programs(NODE, self.folder, f"127.0.0.1:{self.port}") if p.role == role]
        environ = {**environment_of(role, self.settings, self.folder), **told}
        seen = len(self.log(role))
        # Not tied to us twice: the fixture ends every process group that it started.
        daemon = Daemon(role, tied(program.command, signal.SIGKILL), self._log(role), self._ready(role, seen), environ)
        self.running[role] = daemon
        return daemon

    def _log(self, role: str) -> Path:
        return self.folder / f"{role}.log"

    def _ready(self, role: str, seen: int) -> Callable[[], bool]:
        """How a process says that it works; only what it has logged since this start counts."""
        if role == "api":
            return self._api_answers
        word = {"consumer": "for exchange nova", "beat": "beat: Starting"}.get(role, " ready.")
        return lambda: word in self.log(role)[seen:]

    def _api_answers(self) -> bool:
        with contextlib.suppress(OSError):
            try:
                urllib.request.urlopen(f"{self.url}/", timeout=2).close()
            except urllib.error.HTTPError as answer:
                answer.close()
            return True
        return False


@contextlib.contextmanager
def installed(folder: Path, broker_url: str, database_url: str, **told: str) -> Iterator[Installation]:
    """An installation with no process yet; whatever the test starts ends with it."""
    installation = Installation(folder, broker_url, database_url, told)
    try:
        yield installation
    finally:
        installation.close()
