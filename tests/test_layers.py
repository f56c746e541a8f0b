"""Who may import whom."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# package -> what none of its files may import; what only starts things (commands, urls.py) may reach everywhere
FORBIDDEN = {
    "metering": ("collector", "pollsters", "api", "embedded", "tests"),
    "collector": (
        "pollsters", "api", "embedded", "tests", "django.db",
        "metering.models", "metering.store", "metering.tasks", "metering.settings", "metering.sifting",
    ),
    "pollsters": (
        "collector", "api", "embedded", "tests", "django",
        "metering.models", "metering.store", "metering.tasks", "metering.settings", "metering.sifting",
    ),
    "api": ("collector", "pollsters", "embedded", "tests", "metering.store", "metering.tasks"),
    "metering/models": ("metering.store", "metering.signing", "metering.tasks", "metering.publish"),
}  # fmt: skip
STARTERS = ("metering/management/", "metering/urls.py", "metering/celery.py", "metering/wsgi.py")
OWNERS_OF_LIBRARIES = {
    "libvirt": {"pollsters/compute/libvirt_host.py"},
    "openstack": {"pollsters/central/cloud.py"},
    "keystoneauth1": {"pollsters/central/cloud.py", "metering/keystone.py"},
    "pysnmp": {"pollsters/central/snmp_agent.py"},
    "simpleeval": {"pollsters/declared/evaluator.py"},
}
WITHOUT_DJANGO = (
    "errors", "counters", "bounds", "identity", "signing", "ceilometer", "messages", "packing", "publish", "spool",
    "sources", "sources_file", "yaml_lines", "definition_files", "events", "event_messages", "event_settings",
    "event_sifting", "plugins", "contracts", "environment", "setting_reader", "access_settings", "transport",
    "keystone", "doctor/keystone",
    "serving_settings", "serving", "topology", "schedule", "celery",
    "doctor/finding", "doctor/meters", "doctor/host", "doctor/broker",
)  # fmt: skip


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports anywhere in it, except for types only."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    found = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files(package)
        if not str(file.relative_to(ROOT)).startswith(STARTERS)
        for module in imports(file)
        for forbidden in FORBIDDEN[package]
        if within(module, forbidden)
    ]
    assert files(package)
    assert not found


@pytest.mark.parametrize(("library", "owners"), OWNERS_OF_LIBRARIES.items())
def test_a_library_is_imported_by_its_owner_only(library: str, owners: set[str]) -> None:
    importing = {
        str(file.relative_to(ROOT))
        for package in ("metering", "collector", "pollsters", "api")
        for file in files(package)
        if any(within(module, library) for module in imports(file))
    }
    assert importing == owners


@pytest.mark.parametrize("role", ["compute", "central", "beat"])
def test_a_plugin_host_and_beat_load_without_django_and_without_a_database_driver(role: str) -> None:
    """What they load is imported in a process where neither can be."""
    program = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "psycopg2" or name == "django.db" or name.startswith("django.db."):
            raise ImportError(f"{name} must not be imported here")

sys.meta_path.insert(0, Refuse())
from metering.celery import app
app.loader.import_default_modules()
app.finalize()
print(sorted(app.tasks))
assert not any(name == "django.db" or name.startswith("psycopg2") for name in sys.modules)
assert not any(name.startswith("metering.models") for name in sys.modules)
"""
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    told = {
        "METERING_ROLE": role,
        "METERING_NODE": "central" if role == "central" else "n1",
        "METERING_BROKER_URL": "amqp://guest:guest@127.0.0.1:1//",
        "METERING_NODE_KEY": f"k1:{'0' * 64}",
        "DJANGO_SETTINGS_MODULE": "metering.settings",  # a leaked one must not start Django
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=keep | told, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = {"compute": ["pollsters.poll_compute"], "central": ["pollsters.poll_central"], "beat": []}[role]
    assert done.stdout.strip() == str(expected)


@pytest.mark.parametrize("name", WITHOUT_DJANGO)
def test_the_core_on_a_compute_host_is_free_of_django(name: str) -> None:
    assert not [
        module for module in imports(ROOT / "metering" / f"{name}.py") if within(module, "django") and name != "celery"
    ]
