"""The shipped rows and listeners, by the names that switch them off; and rows of a test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collector.event_types import compiled, is_pattern
from collector.notification import Listener
from metering import environment, plugins

SETTINGS = environment.load({})
PLUGINS = {plugin.name: plugin for plugin in plugins.load(plugins.COLLECTOR, SETTINGS, {})}
SHIPPED: dict[str, Listener] = {name: plugin.target for name, plugin in PLUGINS.items() if plugin.target is not None}
VERSIONED = environment.load({"METERING_NOVA_NOTIFICATIONS": "versioned"})


def fits(wanted: str, event_type: str) -> bool:
    return bool(compiled(wanted).match(event_type)) if is_pattern(wanted) else wanted == event_type


def loaded(folder: Path, text: str, **settings: str) -> dict[str, Any]:
    """The plugins that a file of rows gives, by name."""
    (folder / "mine.yaml").write_text(text)
    told = environment.load({"METERING_METER_DEFINITIONS": str(folder), **settings})
    found = plugins.load(plugins.COLLECTOR, told, {})
    return {plugin.name: plugin for plugin in found if plugin.package.startswith(str(folder))}
