"""The API as a process of its own, on the tests' database."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import requests
from django.db import connection

from embedded.daemon import Daemon, tied
from embedded.services import free_port
from tests.stage import Stage

ROOT = Path(__file__).resolve().parents[1]


class LiveApi:
    """gunicorn as it is installed, but with one worker; ``log`` holds all that it said, each request among it."""

    def __init__(self, folder: Path, **told: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "api.log"
        options = ("--bind", f"127.0.0.1:{port}", "--workers", "1", "--chdir", str(ROOT), "--access-logfile", "-")
        command = (sys.executable, "-m", "gunicorn", "-c", "python:metering.serving", *options, "metering.wsgi")
        environ = {**os.environ, "METERING_ROLE": "api", "METERING_ALLOWED_HOSTS": "127.0.0.1", **told}
        self.daemon = Daemon("The API", tied(command), self.log, self._answers, environ)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def _answers(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/", timeout=10).status_code == 200
        return False


@contextlib.contextmanager
def live_api(folder: Path, stage: Stage, **told: str) -> Iterator[LiveApi]:
    """One that runs until the end of the block, on the database that the tests have by then."""
    database = stage.database_url(str(connection.settings_dict["NAME"]))
    api = LiveApi(folder, DATABASE_URL=database, **told)
    api.daemon.start()
    try:
        yield api
    finally:
        api.daemon.stop()
