"""Machines over SNMP: load, memory, disks, network interfaces, with no agent of ours on them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from metering.counters import Counter, Meter
from metering.environment import Environment
from metering.errors import PluginError, PollError
from metering.plugins import Option
from pollsters.central import snmp_reading, snmp_targets
from pollsters.central.snmp_table import SCALARS, TABLES
from pollsters.central.snmp_targets import Target
from pollsters.runner import Place

if TYPE_CHECKING:
    from pollsters.central.snmp_agent import Agents

TARGETS, SECONDS = "METERING_SNMP_TARGETS", "METERING_SNMP_SECONDS"
TRIES = 2  # of one question: a datagram may get lost
SERVICE = "snmp"  # the places' service: a source's discovery may name it


class SNMPPollster:
    """Each machine is a place of its own: one that does not answer costs only itself.

    One that was silent is given a single, short try until it answers again, so that dead machines do not take
    the time of the living.
    """

    meters: tuple[Meter, ...] = (
        *(scalar.meter for scalar in SCALARS),
        *(column.meter for table in TABLES for column in table.columns),
    )
    options = (
        Option(TARGETS, "", "machines: snmp://community@host:port or snmp://user:password@host?priv_password=..., ..."),
        Option(SECONDS, "10", "how long one machine may take, from 1 to 300"),
    )

    def __init__(self, values: Mapping[str, str]) -> None:
        try:
            self._targets = snmp_targets.parse(values[TARGETS])
        except ValueError as exc:
            raise PluginError(f"{TARGETS}: {exc}") from exc
        self._seconds = _seconds(values[SECONDS])
        self._until = math.inf
        self._silent: set[str] = set()

    def enabled(self, settings: Environment) -> str | None:
        return None if self._targets else f"{TARGETS} is not set: no machine is asked"

    def begin(self, until: float) -> None:
        self._until = until

    def places(self) -> Iterable[Place]:
        return [Place(SERVICE, url) for url in self._targets]

    def poll(self, place: Place) -> Iterator[Counter]:
        target = self._targets[str(place.region)]
        reading = self._read(target)
        if not reading.figures and not any(reading.columns.values()):
            raise PollError(f"{target.url}: it has none of the figures that are asked for")
        yield from snmp_reading.counters(target, reading)

    def _read(self, target: Target) -> snmp_reading.Reading:
        silent = target.url in self._silent
        allowed = min(self._seconds, self._until - time.monotonic())
        if allowed <= 0:
            raise PollError(f"{target.url}: no time was left in this poll")
        self._silent.add(target.url)
        reading = self._agents.read(target, allowed, snmp_reading.read, tries=1 if silent else TRIES)
        self._silent.discard(target.url)
        return reading

    @cached_property
    def _agents(self) -> Agents:
        """Made at the first question, in the process that asks: it holds a socket."""
        from pollsters.central import snmp_agent  # noqa: PLC0415 # most processes ask no machine, and need no pysnmp

        return snmp_agent.Agents()

    def close(self) -> None:
        """End what was opened; a worker's end does that by itself."""
        agents: Any = self.__dict__.pop("_agents", None)
        if agents is not None:
            agents.close()


def _seconds(got: str) -> float:
    try:
        number = float(got)
    except ValueError:
        number = math.nan
    if not 1 <= number <= 300:
        raise PluginError(f"{SECONDS} must be seconds from 1 to 300, not {got!r}")
    return number
