"""What a machine told over SNMP, as counters. Pure Python."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from metering.counters import Counter
from pollsters.central.snmp_table import ADDRESSES, MACS, SCALARS, SPEEDS, TABLES, Column, Table
from pollsters.central.snmp_targets import Target

Value = int | bytes


class Agent(Protocol):
    """One machine, while it is read. What it does not have is left out. Each question raises `PollError`."""

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        """The figures that it has."""

    async def walk(self, column: str) -> dict[str, Value]:
        """A column of a table: index of the row -> value."""


@dataclass(slots=True)
class Reading:
    """All that a machine told."""

    figures: dict[str, Value] = field(default_factory=dict)
    columns: dict[str, dict[str, Value]] = field(default_factory=dict)  # column -> index of the row -> value


async def read(agent: Agent) -> Reading:
    """Every figure of the table that the machine has. Raises `PollError`."""
    reading = Reading()
    oids = dict.fromkeys(oid for scalar in SCALARS for oid in (scalar.oid, scalar.rest_of) if oid)
    reading.figures = await agent.get(list(oids))
    for table in TABLES:
        names = reading.columns[table.name] = await agent.walk(table.name)
        if not names:
            continue
        for column in _columns(table):
            if column not in reading.columns:
                reading.columns[column] = await agent.walk(column)
    return reading


def _columns(table: Table) -> Iterator[str]:
    for column in table.columns:
        yield column.oid
        if column.wide:
            yield column.wide
    yield from table.texts.values()
    if table.is_interface:
        yield from (SPEEDS, MACS, ADDRESSES)


def counters(target: Target, reading: Reading) -> Iterator[Counter]:
    """A counter for each figure that is a number."""
    about = {"resource_url": target.url}
    for scalar in SCALARS:
        volume = _number(reading.figures.get(scalar.oid))
        whole = _number(reading.figures.get(scalar.rest_of)) if scalar.rest_of else None
        if volume is None or (scalar.rest_of and whole is None):
            continue
        told = volume if whole is None else whole - volume
        yield scalar.meter.read(told, resource_id=target.host, resource_metadata=about)
    for table in TABLES:
        yield from _rows(target, table, reading)


def _rows(target: Target, table: Table, reading: Reading) -> Iterator[Counter]:
    seen: set[str] = set()
    for index, value in reading.columns.get(table.name, {}).items():
        name = _text(value) or index
        # Two mounts of one device have one name: the later ones are told apart by their index.
        unique = name if name not in seen else f"{name}.{index}"
        seen.add(name)
        metadata = {"resource_url": target.url, **_metadata(table, reading, index)}
        for column in table.columns:
            volume = _of_row(reading, column, index)
            if volume is not None:
                resource = f"{target.host}.{unique}"
                yield column.meter.read(volume, resource_id=resource, resource_metadata=metadata)


def _of_row(reading: Reading, column: Column, index: str) -> float | None:
    wide = _number(reading.columns.get(column.wide, {}).get(index)) if column.wide else None
    return wide if wide is not None else _number(reading.columns.get(column.oid, {}).get(index))


def _metadata(table: Table, reading: Reading, index: str) -> Mapping[str, Any]:
    told: dict[str, Any] = {
        name: _text(column[index])
        for name, oid in table.texts.items()
        if index in (column := reading.columns.get(oid, {}))
    }
    if table.is_interface:
        speed = _number(reading.columns.get(SPEEDS, {}).get(index))
        mac = reading.columns.get(MACS, {}).get(index)
        told["speed"] = None if speed is None else speed / 8  # bytes per second
        told["mac"] = mac.hex(":") if isinstance(mac, bytes) else None
        told["ip"] = next((ip for ip, at in reading.columns.get(ADDRESSES, {}).items() if str(at) == index), None)
    return told


def _text(value: Value) -> str:
    return value.decode(errors="replace").replace("\0", "") if isinstance(value, bytes) else str(value)


def _number(value: Value | None) -> float | None:
    """Some figures come as texts: a load of "0.42"."""
    if isinstance(value, bytes):
        try:
            number = float(value.decode("ascii"))
        except ValueError:
            return None
        return number if math.isfinite(number) else None
    return value
