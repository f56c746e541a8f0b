from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metering import environment, plugins
from metering.plugins import CENTRAL, COMPUTE, Plugin
from pollsters.declared.pollster import DeclaredPollster, NodePollster
from tests.pollsters.declared.conftest import Serve

PROJECT_ROOT = Path(__file__).parents[3]
DEFINITION = """
- name: {name}
  sample_type: gauge
  unit: thing
  value_attribute: size
"""
WEB = "  url_path: http://127.0.0.1:1/\n"


def definition(name: str, more: str = WEB) -> str:
    return DEFINITION.format(name=name) + more


def load(folder: Path, namespace: str = CENTRAL, **told: str) -> dict[str, Plugin]:
    environ = {"METERING_NODE": "node-1", "METERING_POLLSTER_DEFINITIONS": str(folder), **told}
    loaded = plugins.load(namespace, environment.load(environ), environ)
    return {plugin.name: plugin for plugin in loaded if str(folder) in plugin.package}


def test_a_definition_is_a_plugin_of_the_central_namespace(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(definition("acme.thing"))

    plugin = load(tmp_path)["acme.thing"]

    assert isinstance(plugin.target, DeclaredPollster)
    assert (plugin.state, plugin.package, plugin.version) == ("on", f"{tmp_path}/acme.yaml", "line 2")
    assert [meter.name for meter in plugin.meters] == ["acme.thing"]
    assert load(tmp_path, COMPUTE) == {}


def test_a_broken_definition_stops_no_other_and_is_shown_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- name: acme.broken\n  unit: x\n" + definition("acme.thing"))
    (tmp_path / "b.yaml").write_text("- [")

    found = load(tmp_path)

    assert {name: plugin.state for name, plugin in found.items()} == {
        "acme.broken": "broken",
        "acme.thing": "on",
        "b.yaml:1": "broken",
    }
    assert str(found["acme.broken"].reason).startswith(f"{tmp_path}/a.yaml:1: ")


def test_a_name_or_a_meter_that_is_taken_already_is_left_out_with_the_reason(tmp_path: Path) -> None:
    # `snmp` needs no cloud: it is on, and so its name and its meters are taken.
    told = [definition("snmp"), definition("hardware.cpu.util"), definition("acme.thing"), definition("acme.thing")]
    (tmp_path / "acme.yaml").write_text("".join(told))
    environ = {
        "METERING_NODE": "node-1",
        "METERING_POLLSTER_DEFINITIONS": str(tmp_path),
        "METERING_SNMP_TARGETS": "snmp://a",
    }

    found = plugins.find(CENTRAL, environment.load(environ), environ)

    ours = [plugin for plugin in found if str(tmp_path) in plugin.package]
    assert [(plugin.name, plugin.reason) for plugin in ours] == [
        ("snmp", "its name is taken already, by 'snmp' (nephometer)"),
        ("hardware.cpu.util", "its meter is taken already, by 'snmp' (nephometer)"),
        ("acme.thing", None),
        ("acme.thing", f"its name is taken already, by 'acme.thing' ({tmp_path}/acme.yaml)"),
    ]


def test_a_definition_can_be_switched_off_by_name(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(definition("acme.thing"))

    plugin = load(tmp_path, METERING_DISABLED_PLUGINS="acme.thing")["acme.thing"]

    assert (plugin.target, plugin.reason) == (None, "named in METERING_DISABLED_PLUGINS")


@pytest.mark.parametrize(
    ("more", "setting", "reason"),
    [
        ("  host_command: 'true'\n", "METERING_POLLSTER_COMMANDS", "it runs a command of the host"),
        (
            WEB + "  extra_metadata_fields: {name: x, value: x, host_command: 'true'}\n",
            "METERING_POLLSTER_COMMANDS",
            "it runs a command of the host",
        ),
        (
            WEB + "  module: requests.auth\n  authentication_object: HTTPBasicAuth\n",
            "METERING_POLLSTER_MODULES",
            "the module 'requests.auth' is not named in METERING_POLLSTER_MODULES",
        ),
        ("  endpoint_type: acme\n  url_path: v1\n", "METERING_CLOUDS", "METERING_CLOUDS is not set"),
    ],
)
def test_commands_modules_and_clouds_must_be_allowed(tmp_path: Path, more: str, setting: str, reason: str) -> None:
    (tmp_path / "acme.yaml").write_text(definition("acme.thing", more))
    value = {"METERING_POLLSTER_COMMANDS": "1", "METERING_POLLSTER_MODULES": "requests.auth"}.get(setting, "main")

    assert reason in str(load(tmp_path)["acme.thing"].reason)
    assert load(tmp_path, **{setting: value})["acme.thing"].state == "on"


def test_a_definition_for_compute_hosts_reads_the_node_itself(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(definition("acme.thing", "  host_command: 'true'\n  namespaces: [compute]\n"))

    plugin = load(tmp_path, COMPUTE, METERING_POLLSTER_COMMANDS="1")["acme.thing"]

    assert isinstance(plugin.target, NodePollster)
    assert load(tmp_path, CENTRAL, METERING_POLLSTER_COMMANDS="1") == {}


def test_a_folder_that_is_not_there_is_shown(tmp_path: Path) -> None:
    [plugin] = load(tmp_path / "none").values()

    assert (plugin.state, plugin.reason) == ("broken", f"{tmp_path}/none cannot be read: No such file or directory")


def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("METERING_", "DATABASE_"))}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT_ROOT,
        env=kept | {"METERING_NODE": "node-1"} | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_dry_run_of_a_file_shows_what_it_would_publish_and_what_is_wrong_with_it(
    tmp_path: Path, serve: Serve
) -> None:
    api = serve({"/v1/things": {"things": [{"id": "t-1", "size": 4, "project_id": "p-1"}]}})
    good = definition("acme.thing", "  endpoint_type: acme\n  url_path: v1/things\n")
    (tmp_path / "acme.yaml").write_text(good + definition("acme.bad", "  url_path: v1\n"))

    done = command("poll", "--definition", f"{tmp_path}/acme.yaml", "--dry-run", "--url", api.url)

    [message] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (message["counter_name"], message["counter_volume"], message["resource_id"]) == ("acme.thing", 4, "t-1")
    assert done.returncode == 1
    assert f"{tmp_path}/acme.yaml:9: endpoint_type: there must be one" in done.stderr
    assert "Traceback" not in done.stderr


def test_plugins_shows_declared_pollsters(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(definition("acme.thing") + "- name: acme.bad\n")

    done = command("plugins", METERING_POLLSTER_DEFINITIONS=str(tmp_path))

    assert f"metering.poll.central  acme.thing  ({tmp_path}/acme.yaml line 2)  on" in done.stdout
    assert f"metering.poll.central  acme.bad  ({tmp_path}/acme.yaml line 7)  broken: " in done.stdout
