"""List the installed plugins: what they read, whether they are on, and why not."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from collector.index import Index, subscribe
from metering import environment, plugins
from metering.errors import PluginError
from metering.plugins import Option, Plugin


class Command(BaseCommand):
    """Needs no database; exit status 1 when enabled plugins cannot work together."""

    help = "List installed plugins: namespace, name, package, state, reason, options, meters."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        settings = environment.load(os.environ)
        found = [plugin for name in plugins.NAMESPACES for plugin in plugins.load(name, settings, os.environ)]
        conflicts = list(plugins.conflicts(found))
        for plugin in without_rivals(found):
            if options["json"]:
                self.stdout.write(json.dumps(_told(plugin)))
            else:
                self._say(plugin)
        if conflicts:
            raise PluginError("; ".join(conflicts))

    def _say(self, plugin: Plugin) -> None:
        state = f"{plugin.state}: {plugin.reason}" if plugin.reason else plugin.state
        self.stdout.write(f"{plugin.namespace}  {plugin.name}  ({plugin.package} {plugin.version})  {state}")
        for option in plugin.options:
            default = "required" if option.default is None else f"default {option.default!r}"
            given = ", set" if _is_set(option) else ""
            self.stdout.write(f"    {option.name} ({default}{given}): {option.help}")
        self.stdout.write(f"    {' '.join(meter.name for meter in plugin.meters)}")


def without_rivals(found: Sequence[Plugin]) -> list[Plugin]:
    """The same plugins, those listeners off that the consumer leaves out: an earlier one makes their meter."""
    listeners = {plugin.name: plugin.target for plugin in found if plugin.namespace == plugins.COLLECTOR}
    index = Index(subscribe(name, target) for name, target in listeners.items() if target is not None)
    return [
        plugin.left_out(f"left out, {index.left_out[plugin.name]}")
        if plugin.namespace == plugins.COLLECTOR and plugin.name in index.left_out
        else plugin
        for plugin in found
    ]


def _told(plugin: Plugin) -> dict[str, Any]:
    return {
        "namespace": plugin.namespace,
        "name": plugin.name,
        "package": plugin.package,
        "version": plugin.version,
        "state": plugin.state,
        "enabled": plugin.target is not None,
        "reason": plugin.reason,
        # Not their values: one may be a password.
        "options": [
            {"name": option.name, "default": option.default, "help": option.help, "set": _is_set(option)}
            for option in plugin.options
        ],
        "meters": [meter.name for meter in plugin.meters],
    }


def _is_set(option: Option) -> bool:
    return environment.value(os.environ, option.name) is not None
