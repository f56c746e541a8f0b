"""The definitions of one file, for whoever wants to see what they would read before they are in use."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import requests

from metering import environment, transport
from metering.environment import Environment
from metering.errors import PollError
from pollsters.central import service
from pollsters.central.endpoints import join
from pollsters.declared import files
from pollsters.declared.asking import LARGEST, Endpoints
from pollsters.declared.plugins import SharedClouds, reason_off
from pollsters.declared.pollster import DeclaredPollster
from pollsters.runner import Place


class OneEndpoint:
    """One URL in the place of every service of a cloud, asked without a token: an API under test, say."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._until = math.inf
        self._seconds = 0.0

    def begin(self, until: float) -> None:
        self._until = until

    def places(self, service_type: str) -> Iterable[Place]:
        return [Place(service_type)]

    def endpoint(self, place: Place) -> str:
        return self._url

    def text(self, place: Place, path: str, headers: Mapping[str, str], seconds: float) -> str:
        self._seconds = min(seconds, self._until - time.monotonic())
        url = join(self._url, path)
        try:
            response = self._session.get(url, headers=dict(headers), allow_redirects=False)
        except requests.RequestException as exc:
            raise PollError(f"GET {url}: {exc}") from exc
        if not 200 <= response.status_code < 300:
            raise PollError(f"GET {url}: {response.status_code} {response.reason}")
        return transport.text_of(response)

    @cached_property
    def _session(self) -> Any:
        return transport.session(lambda: self._seconds, LARGEST)


def pollsters(
    file: Path, url: str | None, settings: Environment, environ: Mapping[str, str]
) -> tuple[dict[str, DeclaredPollster], list[str]]:
    """The sound definitions of a file by name, and why others cannot be used. ``url`` replaces every cloud."""
    values = {option.name: environment.value(environ, option.name, option.default) or "" for option in service.OPTIONS}
    endpoints: Endpoints = OneEndpoint(url) if url else SharedClouds(values)
    usable: dict[str, DeclaredPollster] = {}
    faults: list[str] = []
    for declared in files.of_file(file):
        if declared.definition is None:
            faults.append(str(declared.fault))
            continue
        pollster = DeclaredPollster(declared.definition, endpoints, settings.pollster_modules)
        reason = reason_off(pollster, settings, has_clouds=bool(url or service.named(values)))
        if declared.name in usable:
            reason = "the file has another one of that name"
        if reason:
            faults.append(f"{declared.where}: {declared.name}: {reason}")
        else:
            usable[declared.name] = pollster
    return usable, faults
