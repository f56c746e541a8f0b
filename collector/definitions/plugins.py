"""Rows as plugins: what is shipped, and what METERING_METER_DEFINITIONS adds, found when a process starts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metering.contracts import COLLECTOR
from metering.environment import Environment
from metering.plugins import Plugin

if TYPE_CHECKING:
    from collector.definitions.description import Description
    from collector.definitions.files import Declared, Definition


def found(namespace: str, settings: Environment, environ: Mapping[str, str]) -> Iterator[Plugin]:
    """Each row, once for each exchange it listens to, and each that is broken; one never stops another."""
    if namespace != COLLECTOR:
        return
    from collector.definitions import files  # noqa: PLC0415 # a host that hears nothing need not load what reads them

    descriptions: dict[str, Description] = {}
    for declared in chain(files.shipped(), files.of_folders(map(Path, settings.meter_definitions))):
        if declared.definition is None:
            file, line = declared.file_and_line
            yield Plugin(declared.name, namespace, file, None, declared.fault, broken=True, version=line)
        else:
            yield from _plugins(declared, declared.definition, settings, descriptions)


def _plugins(
    declared: Declared, definition: Definition, settings: Environment, descriptions: dict[str, Description]
) -> Iterator[Plugin]:
    from collector.definitions.row import row  # noqa: PLC0415 # see above

    file, line = declared.file_and_line
    reason = _reason_off(declared, file, definition, settings)
    description = _description(definition.told, settings, descriptions)
    for exchange in definition.exchanges:
        several = len(definition.exchanges) > 1
        name = f"{declared.name}@{exchange}" if several else declared.name
        target = row(definition.told, exchange, description)
        yield Plugin(name, COLLECTOR, file, None if reason else target, reason, target.meters, version=line)


def _reason_off(declared: Declared, file: str, definition: Definition, settings: Environment) -> str | None:
    """Why a sound row is off: it or its file is named as disabled, or nova is read in its other form."""
    if {declared.name, Path(file).stem}.intersection(settings.disabled_plugins):
        return "named in METERING_DISABLED_PLUGINS"
    if definition.nova_form not in (None, settings.nova_notifications):
        return f"METERING_NOVA_NOTIFICATIONS is {settings.nova_notifications}"
    return None


def _description(told: Mapping[str, Any], settings: Environment, known: dict[str, Description]) -> Description:
    """One for all rows that keep the same of a notification."""
    from collector.definitions.description import Description  # noqa: PLC0415 # see above

    metadata, tags = told.get("metadata"), told.get("user_metadata")
    key = json.dumps([metadata, tags], sort_keys=True)
    if key not in known:
        known[key] = Description(metadata, tags, settings.user_metadata)
    return known[key]
