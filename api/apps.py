"""The Django application that serves the API."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings


class ApiConfig(AppConfig):
    """Views and checks."""

    name = "api"

    def ready(self) -> None:
        from api import checks, policy_file  # noqa: F401, PLC0415 # checks register themselves, once there are models

        if settings.METERING.role == "api":  # no request is answered by a policy that nobody wrote
            policy_file.current()
