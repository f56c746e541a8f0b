"""The secrets of one `make run`."""

from __future__ import annotations

import stat
from pathlib import Path

from embedded import keys, settings_file
from metering import environment
from metering.signing import Keyring


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"

    first = keys.make(path, {})
    again = keys.make(path, {})

    assert first == again == settings_file.read(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_folders_share_no_secret(tmp_path: Path) -> None:
    one, other = keys.make(tmp_path / "one", {}), keys.make(tmp_path / "other", {})

    assert {name for name, value in one.items() if other[name] == value} == {"METERING_NODE"}


def test_a_node_key_is_the_one_that_its_publisher_is_verified_with(tmp_path: Path) -> None:
    made = keys.make(tmp_path / "secrets.env", {"METERING_NODE": "web-1"})

    keyring = Keyring(environment.load({"METERING_SECRETS": made["METERING_SECRETS"]}).secrets)
    for role, name in (("compute", "web-1"), ("consumer", "web-1"), ("central", "central")):
        signer = keyring.signer(f"{role}/{name}")
        assert made[f"METERING_NODE_KEY_{role.upper()}"] == f"{signer.kid}:{signer.key.hex()}"


def test_the_keys_follow_a_master_secret_that_the_environment_gives(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    before = keys.make(path, {})

    after = keys.make(path, {"METERING_SECRETS": "mine:a-secret-from-elsewhere"})

    assert after["METERING_NODE_KEY_COMPUTE"].startswith("mine:")
    assert after["METERING_ADMIN_PASSWORD"] == before["METERING_ADMIN_PASSWORD"]
