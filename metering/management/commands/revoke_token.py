"""Take a token for the API back."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.models import Token


class Command(BaseCommand):
    """By what `list_tokens` shows; the next request with it is refused."""

    help = "Revoke tokens for the API, by id or by name. It holds at once, and cannot be undone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", metavar="ID", type=int, nargs="*", help="of the tokens (see list_tokens)")
        parser.add_argument("--name", help="every token of this name")

    def handle(self, *args: Any, **options: Any) -> None:
        ids, name = set(options["ids"]), options["name"]
        if bool(ids) == (name is not None):
            raise CommandError("name the tokens: by ID, or by --name")
        found = list(Token.objects.filter(pk__in=ids) if ids else Token.objects.filter(name=name))
        unknown = ids - {token.pk for token in found}
        if unknown or not found:
            said = ", ".join(map(str, sorted(unknown))) or repr(name)
            raise CommandError(f"there is no token {said}; nothing was revoked")
        for token in found:
            shown = f"{token.pk}, {token.name!r}, of {token.opens}"
            token.delete()
            self.stdout.write(f"revoked: {shown}")
