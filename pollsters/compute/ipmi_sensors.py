"""What ``ipmitool sdr -v`` says of a machine's sensors. Pure Python."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

# Anything that may follow the word: "Sensor Type (Threshold)  : Fan (0x04)", "Sensor Type (Analog)  : Fan".
_TYPE = re.compile(r"^Sensor Type \((?:Threshold|Analog)\)\s*:[ \t]*([^(\n]*)", re.MULTILINE)
_UNITS = {"Watts": "W", "Volts": "V"}


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor that measures something, and had a reading."""

    id: str  # with its number, which tells apart what has one name: "System Fan 1 (0x30)"
    type: str  # IPMI's own word: Temperature, Voltage, Current, Fan, Other ...
    reading: float
    unit: str  # the reading's: C, V, Amps, W, RPM, or whatever the machine says
    maximum: float | None = None  # the highest normal reading


def sensors(report: str) -> Iterator[Sensor]:
    """The sensors with a reading; those that are disabled, absent, or only have states, are left out."""
    for block in re.split(r"^(?=Sensor ID\s*:)", report, flags=re.MULTILINE):
        fields = dict(_fields(block))
        kind = _TYPE.search(_unindented(block))
        reading = fields.get("Sensor Reading", "").split()
        volume = _number(reading[0]) if reading else None
        name = fields.get("Sensor ID", "")
        if kind is None or volume is None or not name:
            continue
        unit = reading[-1] if len(reading) > 1 else ""
        maximum = _number(fields.get("Normal Maximum", ""))
        yield Sensor(name, kind.group(1).strip(), volume, _UNITS.get(unit, unit), maximum)


def _fields(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip(), value.strip()


def _unindented(block: str) -> str:
    return "\n".join(line.strip() for line in block.splitlines())


def _number(text: str) -> float | None:
    """A finite number; None for "Disabled", "No Reading", "na" and the like."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
