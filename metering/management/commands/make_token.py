"""Give out a token for the API."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.models import Token


class Command(BaseCommand):
    """Prints the token alone, so that a script can keep it."""

    help = "Make an API token and print it. It is shown this once: only its hash is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="who holds it, and for what")
        parser.add_argument("--admin", action="store_true", help="may read every project")
        parser.add_argument("--project", metavar="ID", help="the project whose samples it opens")
        parser.add_argument("--user", metavar="ID", help="the user that samples posted with it belong to")

    def handle(self, *args: Any, **options: Any) -> str:
        if not options["admin"] and not options["project"]:
            raise CommandError("a token needs --project ID, or --admin to read every project")
        return Token.issue(
            options["name"], project_id=options["project"], is_admin=options["admin"], user_id=options["user"]
        )
