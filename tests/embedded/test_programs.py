"""Who is started, and who is told what."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedded import keys
from embedded.programs import environment_of, programs
from metering import environment

URLS = {
    "DATABASE_URL": "postgresql://metering@/metering?host=/run",
    "METERING_BROKER_URL": "redis://127.0.0.1/0",
    "METERING_CACHE_URL": "redis://127.0.0.1/1",
    "METERING_NOTIFICATION_URLS": "redis://127.0.0.1/2",
}


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    return keys.make(tmp_path / "secrets.env", {"METERING_NODE": "web-1"})


@pytest.mark.parametrize("role", environment.ROLES)
def test_every_process_is_told_enough_to_start(role: str, secrets: dict[str, str], tmp_path: Path) -> None:
    told = environment_of(role, secrets | URLS, tmp_path)

    assert environment.load(told).role == role


@pytest.mark.parametrize("role", environment.WITH_NODE_KEY)
def test_a_plugin_host_is_told_its_own_key_and_no_other_secret(
    role: str, secrets: dict[str, str], tmp_path: Path
) -> None:
    told = environment_of(role, secrets | URLS, tmp_path)

    assert told["METERING_NODE_KEY"] == secrets[f"METERING_NODE_KEY_{role.upper()}"]
    own = {"METERING_NODE", f"METERING_NODE_KEY_{role.upper()}"}
    others = {value for name, value in secrets.items() if name not in own}
    assert not others & set(told.values())
    assert "DATABASE_URL" not in told


def test_beat_is_told_no_secret_at_all(secrets: dict[str, str], tmp_path: Path) -> None:
    told = environment_of("beat", secrets | URLS, tmp_path)

    assert not set(told.values()) & {value for name, value in secrets.items() if name != "METERING_NODE"}
    assert "DATABASE_URL" not in told


def test_a_secret_that_lies_in_a_file_is_kept_from_the_same_processes(tmp_path: Path) -> None:
    settings = {"METERING_SECRETS_FILE": "/run/secrets/metering", "METERING_NODE_KEY_COMPUTE": "k:0"}

    assert "METERING_SECRETS_FILE" in environment_of("samples", settings, tmp_path)
    assert "METERING_SECRETS_FILE" not in environment_of("compute", settings, tmp_path)


def test_there_is_one_program_for_every_role(tmp_path: Path) -> None:
    started = [program.role for program in programs("web-1", tmp_path, "127.0.0.1:8777")]

    assert sorted(started) == sorted(environment.ROLES)
