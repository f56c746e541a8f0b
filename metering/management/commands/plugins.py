"""List the installed plugins: what they read, whether they are on, and why not."""

from __future__ import annotations

import json
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from metering import environment, plugins
from metering.errors import PluginError


class Command(BaseCommand):
    """Needs no database; exit status 1 when enabled plugins cannot work together."""

    help = "List installed plugins: namespace, name, package, state, reason, options, meters."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        settings = environment.load(os.environ)
        conflicts = []
        for namespace in plugins.NAMESPACES:
            found = plugins.load(namespace, settings, os.environ)
            for plugin in found:
                self._say(plugin, as_json=options["json"])
            try:
                plugins.check_claims(found)
            except PluginError as exc:
                conflicts.append(str(exc))
        if conflicts:
            raise PluginError("; ".join(conflicts))

    def _say(self, plugin: plugins.Plugin, *, as_json: bool) -> None:
        meters = [meter.name for meter in plugin.meters]
        if as_json:
            told = {
                "namespace": plugin.namespace,
                "name": plugin.name,
                "package": plugin.package,
                "enabled": plugin.target is not None,
                "reason": plugin.reason,
                "options": [option.name for option in plugin.options],
                "meters": meters,
            }
            self.stdout.write(json.dumps(told))
            return
        state = "on" if plugin.target is not None else f"off: {plugin.reason}"
        self.stdout.write(f"{plugin.namespace}  {plugin.name}  ({plugin.package})  {state}")
        for option in plugin.options:
            default = "required" if option.default is None else f"default {option.default!r}"
            self.stdout.write(f"    {option.name} ({default}): {option.help}")
        self.stdout.write(f"    {' '.join(meters)}")
