"""The Django application that holds the ledger."""

from __future__ import annotations

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """Models, commands and checks."""

    name = "metering"
    verbose_name = "Nephometer"

    def ready(self) -> None:
        from metering import checks  # noqa: F401, PLC0415 # they register themselves, once the settings are there
