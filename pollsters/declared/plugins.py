"""Definitions as plugins: what METERING_POLLSTER_DEFINITIONS holds, found when a process starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from metering import environment
from metering.environment import Environment
from metering.plugins import CENTRAL, COMPUTE, Plugin
from pollsters.central import service
from pollsters.central.service import Clouds
from pollsters.runner import Place

if TYPE_CHECKING:
    from pollsters.declared.definitions import Definition
    from pollsters.declared.files import Declared
    from pollsters.declared.pollster import DeclaredPollster

_NAMESPACES = {CENTRAL: "central", COMPUTE: "compute"}


class SharedClouds:
    """The clouds of METERING_CLOUDS, made at the first question, in the process that asks."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @cached_property
    def _clouds(self) -> Clouds:
        return service.shared(service.named(self._values), service.seconds(self._values))

    def begin(self, until: float) -> None:
        self._clouds.begin(until)

    def places(self, service_type: str) -> Iterable[Place]:
        return self._clouds.places(service_type)

    def endpoint(self, place: Place) -> str:
        return self._clouds.endpoint(place)

    def text(self, place: Place, path: str, headers: Mapping[str, str], seconds: float) -> str:
        return self._clouds.text(place, path, headers, seconds)


def found(namespace: str, settings: Environment, environ: Mapping[str, str]) -> Iterator[Plugin]:
    """Each definition of the namespace, and each that is broken; one never stops another."""
    if not settings.pollster_definitions or namespace not in _NAMESPACES:
        return
    from pollsters.declared import files  # noqa: PLC0415 # only who has definitions needs the libraries that read them

    values = {option.name: environment.value(environ, option.name, option.default) or "" for option in service.OPTIONS}
    for declared in files.of_folders(Path(folder) for folder in settings.pollster_definitions):
        if declared.definition is None:
            # It may be of either namespace: it is shown once, where most of them are.
            if namespace == CENTRAL:
                file, line = declared.file_and_line
                yield Plugin(declared.name, namespace, file, None, declared.fault, broken=True, version=line)
        elif _NAMESPACES[namespace] in declared.definition.namespaces:
            yield _plugin(namespace, declared, declared.definition, settings, values)


def _plugin(
    namespace: str, declared: Declared, definition: Definition, settings: Environment, values: Mapping[str, str]
) -> Plugin:
    from pollsters.declared.pollster import DeclaredPollster, NodePollster  # noqa: PLC0415 # see above

    pollster = DeclaredPollster(definition, SharedClouds(values), settings.pollster_modules)
    reason = reason_off(pollster, settings, has_clouds=bool(service.named(values)))
    target = NodePollster(pollster) if namespace == COMPUTE else pollster
    meters = (definition.meter,)
    file, line = declared.file_and_line
    return Plugin(declared.name, namespace, file, None if reason else target, reason, meters, version=line)


def reason_off(pollster: DeclaredPollster, settings: Environment, *, has_clouds: bool) -> str | None:
    """Why a sound definition is off here."""
    definition = pollster.definition
    if pollster.runs_commands and not settings.pollster_commands:
        return "it runs a command of the host, and METERING_POLLSTER_COMMANDS is not set"
    if definition.authentication and definition.authentication.module not in settings.pollster_modules:
        return f"the module {definition.authentication.module!r} is not named in METERING_POLLSTER_MODULES"
    if pollster.asks_catalogue and not has_clouds:
        return f"{service.CLOUDS} is not set: no cloud is polled"
    return None
