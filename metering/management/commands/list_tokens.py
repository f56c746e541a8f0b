"""Which tokens for the API are out there."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from metering.models import Token

_COLUMNS = "{id:>6}  {created:10}  {ends:10}  {last_used:10}  {opens}  {name}"


class Command(BaseCommand):
    """Never their texts: nobody has these but who was told."""

    help = "List the tokens for the API, the newest first: what each opens, when it ends and was last used."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if not options["json"]:
            names = ("id", "created", "ends", "last_used", "opens", "name")
            self.stdout.write(_COLUMNS.format(**{name: name.replace("_", " ") for name in names}))
        for token in Token.objects.all():
            row = _row(token, now)
            self.stdout.write(json.dumps(row) if options["json"] else _COLUMNS.format(**row))


def _row(token: Token, now: datetime) -> dict[str, Any]:
    ends = "never" if token.expires is None else token.expires.date().isoformat()
    return {
        "id": token.pk,
        "created": token.created.date().isoformat(),
        "ends": "ended" if token.expires is not None and token.expires <= now else ends,
        "last_used": token.last_used.isoformat() if token.last_used else "",
        "opens": token.opens,
        "name": token.name,
    }
