"""Give out a token for the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metering.models import Token

MOST_DAYS = 36_500


class Command(BaseCommand):
    """Prints the token alone, so that a script can keep it."""

    help = "Make an API token and print it. It is shown this once: only its hash is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="who holds it, and for what")
        parser.add_argument("--admin", action="store_true", help="may read every project")
        parser.add_argument("--project", metavar="ID", help="the project whose samples it opens")
        parser.add_argument("--user", metavar="ID", help="the user that samples posted with it belong to")
        parser.add_argument("--days", metavar="N", type=int, help="it ends after so many days; without, it has no end")

    def handle(self, *args: Any, **options: Any) -> str:
        if not options["admin"] and not options["project"]:
            raise CommandError("a token needs --project ID, or --admin to read every project")
        days = options["days"]
        if days is not None and not 1 <= days <= MOST_DAYS:
            raise CommandError(f"--days must be a number from 1 to {MOST_DAYS}")
        return Token.issue(
            options["name"],
            project_id=options["project"],
            is_admin=options["admin"],
            user_id=options["user"],
            expires=None if days is None else timezone.now() + timedelta(days=days),
        )
