from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pollsters.declared import files
from pollsters.declared.pollster import DeclaredPollster
from pollsters.declared.trial import OneEndpoint
from tests.rest_api import RESTAPI

Serve = Callable[[dict[str, Any]], RESTAPI]
Declare = Callable[..., DeclaredPollster]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """An API with these answers, by path and query."""
    running: list[RESTAPI] = []

    def start(answers: dict[str, Any]) -> RESTAPI:
        running.append(RESTAPI(answers))
        return running[-1]

    yield start
    for api in running:
        api.close()


@pytest.fixture
def declare(tmp_path: Path) -> Declare:
    """The pollster of a definition, which asks a URL in the place of a cloud."""

    def make(url: str, modules: tuple[str, ...] = (), **told: Any) -> DeclaredPollster:
        entry = {
            "name": "acme.thing",
            "sample_type": "gauge",
            "unit": "thing",
            "value_attribute": "size",
            **({} if "host_command" in told else {"endpoint_type": "acme", "url_path": "v1/things"}),
            **told,
        }
        file = tmp_path / "acme.yaml"
        file.write_text(yaml.safe_dump([{key: value for key, value in entry.items() if value is not None}]))
        [declared] = files.of_file(file)
        assert declared.definition is not None, declared.fault
        return DeclaredPollster(declared.definition, OneEndpoint(url), modules)

    return make
