"""`make run`, the whole of it, from the first start to a second one that finds its data."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from embedded import settings_file
from embedded.__main__ import alone, listen_address
from embedded.daemon import DaemonError
from embedded.services import free_port
from tests.embedded.outliving import outliving

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS_TO_START = 120.0  # eight processes on a busy machine


class Run:
    """One `python -m embedded` and everything that it started."""

    def __init__(self, var: Path, port: int) -> None:
        settings = {"METERING_VAR": str(var), "METERING_API_PORT": str(port), "METERING_POLL_INTERVAL": "2"}
        plain = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("METERING_", "DATABASE_", "DJANGO_"))
        }
        self.var = var
        self.output = var.with_name("output")
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "embedded"],
                cwd=ROOT,
                env={**plain, **settings, "METERING_LIBVIRT_URI": "test:///default"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not true():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.25)

    def wait_ready(self) -> None:
        self.wait_until(lambda: "Nephometer runs" in self.output.read_text())

    def get(self, path: str) -> Any:
        credentials = settings_file.read(self.var / "credentials.env")
        request = urllib.request.Request(
            credentials["METERING_URL"] + path, headers={"X-Auth-Token": credentials["METERING_TOKEN"]}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def end(self, with_signal: signal.Signals) -> list[psutil.Process]:
        """End it; the processes that outlive it by half a minute."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        assert len(family) > 10
        self.process.send_signal(with_signal)
        self.process.wait(timeout=60)
        return outliving(family, seconds=30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Run]]:
    runs: list[Run] = []
    port = free_port()

    def started() -> Run:
        runs.append(Run(tmp_path / "var", port))
        return runs[-1]

    yield started
    for run in runs:
        run.process.kill()
        run.process.wait()


def test_the_whole_system_starts_ends_and_finds_its_data_again(start: Callable[[], Run]) -> None:
    run = start()
    run.wait_ready()
    run.wait_until(lambda: rising(run.get("/v2/meters/cpu/statistics")))
    before = run.get("/v2/meters/cpu/statistics")[0]
    credentials = settings_file.read(run.var / "credentials.env")

    assert run.end(signal.SIGTERM) == []
    assert run.process.returncode == 0

    again = start()
    again.wait_ready()
    assert settings_file.read(run.var / "credentials.env") == credentials
    again.wait_until(lambda: again.get("/v2/meters/cpu/statistics")[0]["count"] > before["count"])
    assert again.get("/v2/meters/cpu/statistics")[0]["min"] == before["min"]

    assert again.end(signal.SIGKILL) == []


def rising(statistics: list[dict[str, Any]]) -> bool:
    return bool(statistics) and statistics[0]["max"] > statistics[0]["min"]


def test_a_second_run_on_the_same_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(DaemonError, match="another run uses"), alone(tmp_path):
        pass


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DaemonError, match=rf"127\.0\.0\.1:{port}.*METERING_API_PORT"):
            listen_address({"METERING_API_PORT": str(port)})
