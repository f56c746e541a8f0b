"""Keystones that the API may be told of, and what somebody with a token of theirs sees."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from tests.api.asking import Asker
from tests.factories import reading, store
from tests.openstack.lab import CloudLab
from tests.openstack.services import Answer, Asked, Services

AWAY = (503, "Keystone does not answer")
NO_PROJECT = (403, "The token is scoped to no project: there is nothing that it opens")
UNKNOWN = (401, "The token is unknown, expired or revoked")
Told = Callable[..., AbstractContextManager[Any]]


def issue(asked: Asked) -> Answer:
    return Answer({"token": {"expires_at": "2100-01-01T00:00:00Z"}}, 201, {"X-Subject-Token": "ours"})


def saying(services: Services, answer: Answer) -> str:
    """The address of a Keystone that lets us in, and answers so when it is asked whose a token is."""
    services.change("/v3/auth/tokens", lambda asked: issue(asked) if asked.method == "POST" else answer)
    return services.url


def held(**more: Any) -> Answer:
    """What Keystone says of a token of the project red."""
    token = {"user": {"id": "ruth"}, "project": {"id": "red"}, "roles": [{"name": "member"}]}
    return Answer({"token": {**token, "expires_at": "2100-01-01T00:00:00.000000Z", **more}})


def fill(lab: CloudLab) -> None:
    store(*(reading(project=lab.projects[name], resource=name) for name in ("red", "blue")), reading(project=None))


def seen(token: str) -> list[str]:
    return sorted(row["resource_id"] for row in Asker(token).ask("/v2/resources"))
