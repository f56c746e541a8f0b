"""A command as an operator gives it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def manage(*arguments: str, status: int = 0, **told: str) -> str:
    """What manage.py prints, on both outputs; it must end with this status."""
    return python("manage.py", *arguments, status=status, **told)


def python(*arguments: str, status: int = 0, **told: str) -> str:
    """What Python prints in the project's folder, told of the tests' settings and these."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **told},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout
