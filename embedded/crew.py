"""honcho, made fit for Celery: it starts the processes, shows what they say, and ends them together."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import honcho.manager
import honcho.process

from embedded.daemon import tied
from embedded.programs import Program

_LOG_BYTES = 20 << 20  # a day or so; as much again is kept of the time before
_CHATTER = re.compile(r"\bINFO\b|^\s*$")
PR_SET_PDEATHSIG = 1  # prctl(2)
honcho.manager.KILL_WAIT = 30  # seconds a running task gets to finish; honcho's own 5 are too few


class _Leaders(honcho.manager.ProcessManager):  # type: ignore[misc] # honcho has no types
    """Ends a process by its leader alone.

    honcho signals the whole group, and Celery's children die of it with the task in their hands; told alone,
    their parent lets them finish.
    """

    def terminate(self, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return  # it was quicker


class _Tied(honcho.process.Process):  # type: ignore[misc] # honcho has no types
    """A go-between that does not outlive us: it ignores every signal, and would hold our lock for ever."""

    def run(self, *args: Any, **kwargs: Any) -> None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        super().run(*args, **kwargs)


class _Terminal:
    """What the processes say, each line with its speaker: everything in the log, on the terminal what matters."""

    width = 0  # honcho sets it to the longest name

    def __init__(self, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = RotatingFileHandler(log, maxBytes=_LOG_BYTES, backupCount=1)
        self.first_ended: str | None = None  # "<process> stopped (rc=<status>)"

    def write(self, message: Any) -> None:
        text = message.data.decode(errors="replace") if isinstance(message.data, bytes) else message.data
        line = f"{message.name:{self.width}} | {text.rstrip()}"
        self._log.handle(logging.makeLogRecord({"msg": line}))
        if message.name != honcho.manager.SYSTEM_PRINTER_NAME:
            if not _CHATTER.search(text):
                print(line, flush=True)
        elif "stopped" in text and self.first_ended is None:
            self.first_ended = text.strip()

    def close(self) -> None:
        self._log.close()


class Crew(honcho.manager.Manager):  # type: ignore[misc] # honcho has no types
    """The processes. `loop` returns when all have ended: by a signal, or because one of them ended."""

    def __init__(self, log: Path) -> None:
        self.terminal = _Terminal(log)
        super().__init__(self.terminal)
        self._procmgr = _Leaders()
        self._process_ctor = _Tied
        self._ending = False
        self._beside: list[Callable[[], None]] = []

    def add(self, program: Program, environ: Mapping[str, str], folder: Path) -> None:
        # Where we are killed there is no broker left either, and a worker that is to end in good order may wait for it.
        command = shlex.join(tied(program.command, signal.SIGKILL))
        self.add_process(program.role, f"exec {command}", env=dict(environ), cwd=str(folder))

    def beside(self, work: Callable[[], None]) -> None:
        """Run this in a thread once all are started (not before: they are forked)."""
        self._beside.append(work)

    @property
    def ending(self) -> bool:
        return self._ending

    def terminate(self) -> None:
        """End all; before all are started, the loop does it as soon as they are (honcho would stumble)."""
        self._ending = True
        if self._all_started():
            super().terminate()

    def fail(self, why: str) -> None:
        """End all from another thread, and say why."""
        print(why, file=sys.stderr, flush=True)
        self.returncode = 1
        self._ending = True

    def _any_stopped(self) -> bool:
        return self._ending or bool(super()._any_stopped())

    def _start(self) -> None:
        super()._start()
        for work in self._beside:
            threading.Thread(target=work, daemon=True).start()
