"""Schemathesis asks the API what its OpenAPI allows, and much that it does not: each answer must be a described one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import events
from tests.factories import reading, store, token
from tests.live_api import LiveApi, live_api
from tests.stage import Stage

pytestmark = pytest.mark.django_db(transaction=True)

CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "501"]  # 501: a function that Ceilometer never had, in its own words
"""
# What the description cannot say is refused all the same: that the q lists belong together, what a filter may be.
NOT_PROMISED = "positive_data_acceptance"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, stage: Stage) -> Iterator[LiveApi]:
    with live_api(tmp_path_factory.mktemp("api"), stage) as api:
        yield api


def found(api: LiveApi, text: str, phases: str, folder: Path) -> str:
    """What schemathesis found, always in the same order; nothing of it may be a failure."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    asked = ("run", f"{api.url}/v2/openapi.json", "--header", f"X-Auth-Token:{text}", "--phases", phases)
    checks = ("--checks", "all", "--exclude-checks", NOT_PROMISED, "--continue-on-failure", "--no-color")
    bounds = ("--max-examples", "8", "--seed", "1", "--generation-database", "none", "--warnings", "off")
    program = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [str(program), "--config-file", str(config), *asked, *checks, *bounds],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize(("project", "phases"), [(None, "coverage"), ("red", "fuzzing")])
def test_no_answer_is_undescribed(api: LiveApi, tmp_path: Path, project: str | None, phases: str) -> None:
    store(*(reading(number, 60 * number, metadata={"display_name": "web"}) for number in range(5)))
    store(reading(1, meter="vcpus", resource="AUTH_1/box", project="blue"))
    events.store(events.event(1, size=10, user_id="user of red"), events.event(2, of="image.upload"))
    text = token(project)

    assert " passed" in found(api, text, phases, tmp_path)

    assert text not in api.said
    assert "Traceback" not in api.said
