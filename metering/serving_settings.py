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
