"""The Django application that holds the ledger."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings


class MeteringConfig(AppConfig):
    """Models, commands and checks."""

    name = "metering"
    verbose_name = "Nephometer"

    def ready(self) -> None:
        from metering import checks, sources  # noqa: F401, PLC0415 # checks register themselves, once there are settings

        told = settings.METERING
        if told.role:  # an operator's command finds out for itself: `check` says it as one of many
            sources.load(told.sources_file, told.poll_interval)
