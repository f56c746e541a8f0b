from __future__ import annotations

import tomllib
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHIPPED = ("api", "collector", "metering", "pollsters")


def test_the_wheel_lists_every_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]

    found = {
        str(file.parent.relative_to(ROOT)).replace("/", ".") for name in SHIPPED for file in (ROOT / name).rglob("*.py")
    }

    assert sorted(found) == listed


def test_every_entry_point_of_ours_names_something_that_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    for group, named in project["entry-points"].items():
        installed = {point.name: point for point in entry_points(group=group)}
        for name, target in named.items():
            assert installed[name].value == target, "install the project again: its entry points changed"
            assert installed[name].load()
