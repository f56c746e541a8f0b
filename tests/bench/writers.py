"""Storage workers beside each other: processes that store batches with the worker's own task when they are told.

As a program it is one of them: for each line on its input, a file of batches, it stores these and says that it has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]


class Writers:
    """Any number of storage workers, which have what they need loaded before they are timed."""

    def __init__(self, count: int, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        command = [sys.executable, "-m", "tests.bench.writers"]
        self._processes = [
            self._stack.enter_context(
                subprocess.Popen(
                    command, cwd=ROOT, env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for _ in range(count)
        ]

    def __enter__(self) -> Writers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()  # the end of its input is the end of its work
        self._stack.close()

    def store(self, shares: Sequence[Sequence[str]]) -> float:
        """Seconds in which as many of them as there are shares store these, all at once."""
        files = []
        for number, share in enumerate(shares):
            files.append(self._folder / f"share-{number}.json")
            files[-1].write_text(json.dumps(share))
        busy = self._processes[: len(shares)]
        for process, file in zip(busy, files, strict=True):
            _say(process, str(file))
            _hear(process)  # it has read the batches
        began = time.perf_counter()
        for process in busy:
            _say(process, "go")
        for process in busy:
            _hear(process)
        return time.perf_counter() - began


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if not process.stdout.readline():
        sys.exit("a storage worker of the bench has ended: its error stands above")


def main() -> None:
    import django

    import metering.celery  # noqa: F401 # the application, before Django is set up by it

    django.setup()
    import logging

    from metering.tasks.storage import record_samples

    logging.disable(logging.INFO)
    for line in sys.stdin:
        batches = json.loads(Path(line.strip()).read_text())
        print("ready", flush=True)
        sys.stdin.readline()
        for batch in batches:
            record_samples(batch)
        print("done", flush=True)


if __name__ == "__main__":
    main()
