"""Print the key of one publisher, for its host's METERING_NODE_KEY."""

from __future__ import annotations

import os
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering import environment
from metering.signing import Keyring


class Command(BaseCommand):
    """Derives the key from the first secret of METERING_SECRETS; needs no database."""

    help = "Print METERING_NODE_KEY (kid:hex) of a publisher, as compute/host-1, central/central or consumer/host-1."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("publisher", metavar="ROLE/NAME")
        parser.add_argument("--kid", help="derive from this secret instead of the first")

    def handle(self, *args: Any, **options: Any) -> None:
        settings = environment.load(os.environ)
        publisher = options["publisher"]
        roles = "|".join(environment.ROLES)
        if not re.fullmatch(rf"({roles})/[A-Za-z0-9][A-Za-z0-9._-]{{0,199}}", publisher):
            raise CommandError(f"{publisher!r} is not ROLE/NAME, with a role of {', '.join(environment.ROLES)}")
        if publisher == f"compute/{environment.CENTRAL}":
            raise CommandError("no compute host may be named 'central'")
        kid = options["kid"] or next(iter(settings.secrets), None)
        if kid is None:
            raise CommandError("METERING_SECRETS is not set")
        if kid not in settings.secrets:
            raise CommandError(f"METERING_SECRETS has no secret {kid!r}")
        self.stdout.write(f"{kid}:{Keyring(settings.secrets).signer(publisher, kid).key.hex()}")
