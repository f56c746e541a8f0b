"""Send one sample by hand, signed as this operator's command."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering import environment
from metering.bounds import parse_timestamp
from metering.counters import Counter, Kind
from metering.errors import MeteringError
from metering.publish import publisher_of


class Command(BaseCommand):
    """Needs a broker and a key, no database."""

    help = "Sign one sample and publish it; it takes the way that every sample takes."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("meter")
        parser.add_argument("volume", type=float)
        parser.add_argument("--resource", required=True)
        parser.add_argument("--type", choices=[str(kind) for kind in Kind], default=str(Kind.GAUGE))
        parser.add_argument("--unit", default="")
        parser.add_argument("--project")
        parser.add_argument("--user")
        parser.add_argument("--timestamp", help="ISO 8601; now when absent")
        parser.add_argument("--metadata", default="{}", help="a JSON object")
        parser.add_argument(
            "--origin", help="two samples of one origin, meter, resource and time are one; random when absent"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from metering.celery import app  # noqa: PLC0415 # it reads the settings, and may refuse them

        try:
            metadata = json.loads(options["metadata"])
        except ValueError as exc:
            raise CommandError(f"--metadata is not JSON: {exc}") from exc
        if not isinstance(metadata, dict):
            raise CommandError("--metadata must be a JSON object")
        counter = Counter(
            options["meter"],
            Kind(options["type"]),
            options["unit"],
            options["volume"],
            options["user"],
            options["project"],
            options["resource"],
            parse_timestamp(options["timestamp"]) if options["timestamp"] else datetime.now(UTC),
            metadata,
            options["origin"],
        )
        settings = environment.load(os.environ)
        sent = publisher_of(app, settings).publish([counter])
        if not sent:
            raise MeteringError("the sample is out of bounds (see above) and was not sent")
        self.stdout.write(f"sent {options['meter']} = {options['volume']} of {options['resource']}")
