"""System checks: what would make a bill wrong, or a process useless, is said before it starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.core import checks

from metering import environment, plugins, sources
from metering.errors import BadSetting, PluginError


@checks.register("metering")
def secrets_are_set(**_: Any) -> list[checks.CheckMessage]:
    """Nothing is ever stored or sent unsigned."""
    settings = environment.load(os.environ)
    if settings.secrets or settings.node_key:
        return []
    return [
        checks.Warning(
            "neither METERING_SECRETS nor METERING_NODE_KEY is set: nothing can sign or verify", id="metering.W001"
        )
    ]


@checks.register("metering")
def plugins_load(**_: Any) -> list[checks.CheckMessage]:
    """Every installed plugin loads, unless it was switched off, and no meter is claimed twice."""
    settings = environment.load(os.environ)
    found: list[checks.CheckMessage] = []
    for namespace in plugins.NAMESPACES:
        loaded = plugins.load(namespace, settings, os.environ)
        found += _broken(loaded)
        try:
            plugins.check_claims(loaded)
        except PluginError as exc:
            found.append(checks.Error(str(exc), id="metering.E001"))
    return found


def _broken(loaded: Sequence[plugins.Plugin]) -> list[checks.CheckMessage]:
    return [
        checks.Warning(f"{plugin.namespace}: {plugin.name} is off: {plugin.reason}", id="metering.W002")
        for plugin in loaded
        if plugin.broken
    ]


@checks.register("metering")
def sources_are_sound(**_: Any) -> list[checks.CheckMessage]:
    """The sources file can be read, and says which source a meter is of."""
    settings = environment.load(os.environ)
    try:
        known = sources.load(settings.sources_file, settings.poll_interval)
    except BadSetting as exc:
        return [checks.Error(str(exc), id="metering.E002")]
    polled = (
        plugin
        for namespace in (plugins.COMPUTE, plugins.CENTRAL)
        for plugin in plugins.load(namespace, settings, os.environ)
    )
    meters = {meter.name for plugin in polled for meter in plugin.meters}
    return [
        checks.Info(f"{meter} is matched by {' and '.join(names)}; {names[0]} reads it", id="metering.I001")
        for meter in sorted(meters)
        if len(names := [source.name for source in known if source.matches(meter)]) > 1
    ]
