"""Today's client of the Ceilometer API, run as its users run it: a command, and the table that it prints."""

from __future__ import annotations

from tests.commands import ROOT, printed

PROGRAM = ROOT / ".venv/client/bin/ceilometer"

Row = dict[str, str]


class Ceilometer:
    """The command with these options before each subcommand, for instance of whom it is to be."""

    def __init__(self, *options: str) -> None:
        self.options = options

    def says(self, *command: str, status: int = 0) -> str:
        """All that the command prints; it must end with this status."""
        environ = {"PATH": "/usr/bin:/bin", "PYTHONWARNINGS": "ignore"}  # nothing of the tests' own
        return printed([str(PROGRAM), *self.options, *command], environ, status)

    def rows(self, *command: str) -> list[Row]:
        """The rows of the table that it prints, by column."""
        lines = [line for line in self.says(*command).splitlines() if line.startswith("|")]
        assert lines, "no table was printed"
        names, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def shown(self, *command: str) -> Row:
        """A table of two columns, of a thing's fields and their values."""
        return {row["Property"]: row["Value"] for row in self.rows(*command)}
