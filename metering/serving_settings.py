"""How the API serves: what its processes and its listings are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """Of the role ``api``."""

    workers: int  # processes of gunicorn
    threads: int  # of each of them
    limit: int  # rows of a listing in JSON that asks for no number
    timeout: int  # seconds for which the database may work on one request
    alarming_url: str | None  # of the service that has the alarms
    cors_origins: tuple[str, ...]  # whose pages may read the API; * is everybody's
