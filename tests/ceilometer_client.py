"""Today's client of the Ceilometer API, run as its users run it: a command, and the table that it prints."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / ".venv/client/bin/ceilometer"

Row = dict[str, str]


class Ceilometer:
    """The command with these options before each subcommand, for instance of whom it is to be."""

    def __init__(self, *options: str) -> None:
        self.options = options

    def says(self, *command: str, status: int = 0) -> str:
        """All that the command prints; it must end with this status."""
        done = subprocess.run(
            [str(PROGRAM), *self.options, *command],
            env={"PATH": "/usr/bin:/bin", "PYTHONWARNINGS": "ignore"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    def rows(self, *command: str) -> list[Row]:
        """The rows of the table that it prints, by column."""
        lines = [line for line in self.says(*command).splitlines() if line.startswith("|")]
        assert lines, "no table was printed"
        names, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def shown(self, *command: str) -> Row:
        """A table of two columns, of a thing's fields and their values."""
        return {row["Property"]: row["Value"] for row in self.rows(*command)}
