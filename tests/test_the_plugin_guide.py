"""What docs/writing-a-plugin.md shows works as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from collector.index import subscribe
from metering.contracts import COMPUTE, faults_of_plugin
from metering.counters import Meter
from metering.models import Quarantine, Series, Token
from tests.collector.notifier import notify
from tests.commands import manage
from tests.installation import Installation, installed, wait_for

GUIDE = Path(__file__).parents[1] / "docs" / "writing-a-plugin.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def guide() -> dict[str, Any]:
    """Everything that the guide's Python defines."""
    defined: dict[str, Any] = {"__name__": "acme_metering"}
    for block in blocks("python"):
        exec(compile(block, GUIDE.name, "exec"), defined)  # annotations stay texts, as this file's do
    return defined


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the guide's distribution was built and installed, from the guide's own text."""
    source = tmp_path_factory.mktemp("acme-metering")
    (source / "acme_metering.py").write_text("\n".join(code for code in blocks("python") if "def test_" not in code))
    [project] = blocks("toml")
    (source / "pyproject.toml").write_text(project)
    packages = tmp_path_factory.mktemp("packages")
    # Nephometer is there already, and what builds: nothing is fetched.
    alone = ("--offline", "--no-deps", "--no-build-isolation", "--python", sys.executable)
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", *alone, "--target", str(packages), str(source)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return packages


def test_the_guides_own_tests_pass(guide: dict[str, Any]) -> None:
    tests = [name for name in guide if name.startswith("test_")]

    for name in tests:
        guide[name]()

    assert len(tests) == 2


def test_the_guides_pollster_keeps_the_contract(guide: dict[str, Any]) -> None:
    assert list(faults_of_plugin(COMPUTE, guide["DisksPollster"]())) == []


def test_the_guides_listener_keeps_the_contract(guide: dict[str, Any]) -> None:
    listener = guide["SnapshotListener"]({"ACME_TIER": "gold"})

    subscription = subscribe("acme-snapshots", listener)

    assert subscription.topics == ("notifications.info",)
    assert all(isinstance(meter, Meter) for meter in listener.meters)


def shown(packages: Path, **told: str) -> dict[str, dict[str, Any]]:
    """What `manage.py plugins` shows of the guide's distribution, by name."""
    lines = manage("plugins", "--json", status=0, PYTHONPATH=str(packages), **told).splitlines()
    plugins = [json.loads(line) for line in lines if line.startswith("{")]
    return {plugin["name"]: plugin for plugin in plugins if plugin["package"] == "acme-metering"}


def test_what_was_installed_is_on_and_shown_with_its_options_and_meters(packages: Path) -> None:
    found = shown(packages, ACME_TIER="gold")

    assert found["acme-disks"] == {
        "namespace": "metering.poll.compute",
        "name": "acme-disks",
        "package": "acme-metering",
        "version": "1.0",
        "state": "on",
        "enabled": True,
        "reason": None,
        "options": [],
        "meters": ["acme.disks"],
    }
    assert found["acme-snapshots"]["meters"] == ["acme.snapshot.size"]
    [option] = found["acme-snapshots"]["options"]
    assert (option["name"], option["default"], option["set"]) == ("ACME_TIER", "standard", True)


def test_it_is_switched_off_by_name_or_by_its_own_word(packages: Path) -> None:
    found = shown(packages, METERING_DISABLED_PLUGINS="acme-disks", METERING_SOURCE="moon")

    assert (found["acme-disks"]["state"], found["acme-disks"]["reason"]) == (
        "off",
        "named in METERING_DISABLED_PLUGINS",
    )
    assert (found["acme-snapshots"]["state"], found["acme-snapshots"]["reason"]) == (
        "off",
        "it meters openstack, not moon",
    )


def test_the_table_for_people_says_the_same(packages: Path) -> None:
    said = manage("plugins", PYTHONPATH=str(packages), METERING_DISABLED_PLUGINS="acme-disks")

    assert (
        "metering.poll.compute  acme-disks  (acme-metering 1.0)  off: named in METERING_DISABLED_PLUGINS\n"
        "    acme.disks\n" in said
    )
    assert "    ACME_TIER (default 'standard'): the tier that the snapshots' samples name\n" in said


@pytest.fixture
def installation(tmp_path: Path, rabbitmq_url: str, database_url: str, packages: Path) -> Any:
    told = {"PYTHONPATH": str(packages), "ACME_TIER": "gold"}
    with installed(tmp_path, rabbitmq_url, database_url, **told) as installation:
        yield installation


def test_what_was_installed_is_on_the_api_after_the_next_start(installation: Installation) -> None:
    token = Token.issue("the guide's reader", is_admin=True)
    installation.start("samples", "control", "compute", "consumer", "api")
    installation.start("beat")
    snapshot = {"volume_size": 40, "snapshot_id": "s-1", "tenant_id": "p-1", "user_id": "u-1"}
    notify(installation.broker_url, "cinder", ("snapshot.create.end", snapshot))

    wait_for(Series.objects.filter(meter="acme.disks").exists, "a sample of the guide's pollster")
    wait_for(Series.objects.filter(meter="acme.snapshot.size").exists, "a sample of the guide's listener")

    [newest, *_] = installation.get("/v2/meters/acme.disks", token)
    assert (newest["counter_type"], newest["counter_unit"]) == ("gauge", "disk")
    [size] = installation.get("/v2/meters/acme.snapshot.size", token)
    assert (size["counter_volume"], size["resource_metadata"]["tier"]) == (40, "gold")
    assert "samples verify" in installation.manage("verify_samples")
    assert not Quarantine.objects.exists()
