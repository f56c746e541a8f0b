"""Spread the ledger over several PostgreSQL servers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.store import distribution

ABSENT = (
    "this PostgreSQL server has no extension citus (pg_available_extensions does not list it): install it and load it "
    "by shared_preload_libraries on every server"
)


class Command(BaseCommand):
    """Prints by default: whoever runs a database of this size wants to read first."""

    help = "Print the statements that distribute the ledger by Citus; with --run, run them (docs/scaling.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--run", action="store_true", help="run them, in one transaction")
        parser.add_argument("--shards", type=int, default=32, help="of each large table (default 32)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["shards"] < 1:
            raise CommandError("--shards must be 1 or more")
        available = distribution.is_available()
        if options["run"]:
            if not available:
                raise CommandError(f"nothing was changed: {ABSENT}")
            distribution.distribute(options["shards"])
            self.stdout.write(f"the ledger is distributed: {', '.join(distribution.DISTRIBUTED)}")
            return
        for statement in distribution.statements(options["shards"]):
            self.stdout.write(f"{statement};")
        if not available:
            self.stderr.write(f"They cannot be run here: {ABSENT}")
