"""A program that runs beside us: started by hand, waited for, and gone when we are."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECONDS_TO_START = 60.0  # a first start on a slow disk
SECONDS_TO_STOP = 30.0


class DaemonError(Exception):
    """A program could not be started, or does not answer; the text ends with what it said last."""


@dataclass
class Daemon:
    """One program, its log and its signals.

    It has a session of its own, so that a Ctrl-C on the terminal does not reach it before its clients are
    gone, and the kernel ends it with ``stop_signal`` when the thread that launched it ends: launch from the
    main thread.
    """

    name: str
    command: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    environ: Mapping[str, str] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int:
        """The process's id; raises `DaemonError` when it was never launched."""
        if self._process is None:
            raise DaemonError(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the program and return at once; `wait_ready` then waits until it answers."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if self.environ is None else dict(self.environ),
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not self.ready():
            if not self.running:
                raise DaemonError(f"{self.name} ended as it started: {self._last_words()}")
            if time.monotonic() > deadline:
                self.kill()
                raise DaemonError(f"{self.name} did not answer within {SECONDS_TO_START:.0f} s: {self._last_words()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in its own good way, or by force when it takes too long; safe when it has ended already."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def wait_ended(self) -> None:
        """Wait until it has ended; by force when it takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _end(self, with_signal: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(with_signal)  # does nothing when it has been waited for
        self.wait_ended()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'it said nothing'} (see {self.log})"


def tied(command: Sequence[str | Path], on_our_death: signal.Signals = signal.SIGTERM) -> list[str]:
    """The command, sent a signal by the kernel when its parent dies, however that happens."""
    return ["setpriv", "--pdeathsig", on_our_death.name.removeprefix("SIG"), "--", *map(str, command)]


def run(command: Sequence[str | Path], log: Path, environ: Mapping[str, str] | None = None) -> None:
    """Run a program to its end, its output into a log; raises `DaemonError` when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        status = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if environ is None else dict(environ),
            check=False,
        ).returncode
    if status != 0:
        raise DaemonError(f"{shlex.join(map(str, command))} ended with status {status} (see {log})")


def holds(pid: int, folder: Path) -> bool:
    """Whether the process lives and has the folder as its working directory."""
    with contextlib.suppress(OSError):
        return os.path.samefile(f"/proc/{pid}/cwd", folder)
    return False
