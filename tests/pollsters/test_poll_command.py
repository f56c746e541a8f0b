from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from metering.signing import Keyring, canonical_metadata, metadata_digest, sample_bytes

PROJECT_ROOT = Path(__file__).parents[2]
SECRET = "a secret of some length"


def poll(*options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command as an operator starts it on a host: no database, no broker."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("METERING_", "DATABASE_"))}
    return subprocess.run(
        [sys.executable, "manage.py", "poll", *options],
        cwd=PROJECT_ROOT,
        env=kept | {"METERING_NODE": "node-1"} | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_prints_signed_metering_messages_and_needs_neither_broker_nor_database() -> None:
    done = poll("--json", "--uri", "test:///default", METERING_SECRETS=f"k1:{SECRET}")

    messages = {m["counter_name"]: m for m in map(json.loads, done.stdout.splitlines())}
    cpu = messages["cpu"]
    assert (done.returncode, done.stderr) == (0, "")
    assert len(messages) == 34
    assert (cpu["counter_type"], cpu["counter_unit"], cpu["publisher_id"]) == ("cumulative", "ns", "api/node-1")
    signed = sample_bytes(
        cpu["publisher_id"],
        cpu["source"],
        cpu["counter_name"],
        cpu["counter_type"],
        cpu["counter_unit"],
        cpu["counter_volume"],
        cpu["user_id"],
        cpu["project_id"],
        cpu["resource_id"],
        cpu["timestamp"],
        metadata_digest(canonical_metadata(cpu["resource_metadata"])),
        cpu["message_id"],
    )
    Keyring({"k1": SECRET.encode()}).check(cpu["publisher_id"], cpu["message_signature"], signed)


def test_without_a_key_it_prints_unsigned_messages_and_says_so() -> None:
    done = poll("--json", METERING_LIBVIRT_URI="test:///default")

    assert done.returncode == 0
    assert {json.loads(line)["message_signature"] for line in done.stdout.splitlines()} == {None}
    assert "unsigned: METERING_NODE_KEY (of api/node-1) is not set" in done.stderr


def test_a_hypervisor_that_cannot_be_reached_fails_it_in_a_few_lines(tmp_path: Path) -> None:
    done = poll("--json", "--uri", f"qemu+unix:///system?socket={tmp_path}/none", METERING_SECRETS=f"k1:{SECRET}")

    assert (done.returncode, done.stdout) == (1, "")
    assert f"{tmp_path}/none" in done.stderr
    assert "Traceback" not in done.stderr


def test_publishing_needs_a_broker() -> None:
    done = poll("--uri", "test:///default", METERING_SECRETS=f"k1:{SECRET}")

    assert done.returncode == 1
    assert "METERING_BROKER_URL is not set" in done.stderr


def test_the_central_namespace_can_be_polled_too() -> None:
    done = poll("--json", "--namespace", "central", METERING_SECRETS=f"k1:{SECRET}")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
