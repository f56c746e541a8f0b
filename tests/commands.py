"""A command as an operator gives it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def manage(*arguments: str, status: int = 0, **told: str) -> str:
    """What manage.py prints, on both outputs; it must end with this status."""
    return python("manage.py", *arguments, status=status, **told)


def python(*arguments: str, status: int = 0, **told: str) -> str:
    """What Python prints in the project's folder, told of the tests' settings and these."""
    return printed([sys.executable, *arguments], {**os.environ, **told}, status)


def printed(command: Sequence[str], environ: Mapping[str, str], status: int = 0) -> str:
    """What a program prints in the project's folder, on both outputs; it must end with this status."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout
