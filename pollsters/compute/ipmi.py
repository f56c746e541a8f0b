"""What the machine's own sensors read, through ``ipmitool``: temperature, voltage, current, fans, power."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from metering.counters import Counter, Kind, Meter
from metering.environment import Environment
from metering.errors import PluginError, PollError
from metering.plugins import Option
from pollsters.compute.ipmi_sensors import Sensor, sensors
from pollsters.runner import Node

log = logging.getLogger(__name__)

COMMAND, SECONDS, RETRIES = "METERING_IPMI_COMMAND", "METERING_IPMI_SECONDS", "METERING_IPMI_RETRIES"
DEVICES = (Path("/dev/ipmi0"), Path("/dev/ipmi/0"), Path("/dev/ipmidev/0"))

# The units are the usual ones: each sample carries that of its reading.
TEMPERATURE = Meter("hardware.ipmi.temperature", Kind.GAUGE, "C")
VOLTAGE = Meter("hardware.ipmi.voltage", Kind.GAUGE, "V")
CURRENT = Meter("hardware.ipmi.current", Kind.GAUGE, "Amps")
FAN = Meter("hardware.ipmi.fan", Kind.GAUGE, "RPM")
POWER = Meter("hardware.ipmi.power", Kind.GAUGE, "W")
_BY_TYPE = {"Temperature": TEMPERATURE, "Voltage": VOLTAGE, "Current": CURRENT, "Fan": FAN}


class IPMIPollster:
    """One sample for each sensor, of nobody's project. A sensor without a reading has none.

    After a run of failures it asks no more until its worker starts again: a management controller that hangs
    would cost every poll its whole time limit. Each poll goes on counting that as an error.
    """

    meters = (TEMPERATURE, VOLTAGE, CURRENT, FAN, POWER)
    options = (
        Option(COMMAND, "ipmitool", "the program, and options that go before its command, such as -I lanplus -H ..."),
        Option(SECONDS, "20", "how long one reading of all sensors may take, from 1 to 300"),
        Option(RETRIES, "3", "failures in a row after which it asks no more until the next start; negative: never"),
    )

    def __init__(self, values: Mapping[str, str], devices: tuple[Path, ...] = DEVICES) -> None:
        self._command = shlex.split(values[COMMAND])
        self._seconds = _whole(SECONDS, values[SECONDS], 1, 300)
        self._retries = _whole(RETRIES, values[RETRIES], -1_000, 1_000)
        self._devices = devices
        self._failures = 0  # in a row

    def enabled(self, settings: Environment) -> str | None:
        if not self._command or shutil.which(self._command[0]) is None:
            return f"{COMMAND}: there is no program {' '.join(self._command[:1])!r}"
        if len(self._command) == 1 and not any(device.exists() for device in self._devices):
            return f"this machine has no IPMI device ({', '.join(map(str, self._devices))})"
        return None

    def poll_node(self, node: Node) -> Iterator[Counter]:
        if 0 <= self._retries <= self._failures and self._failures:
            raise PollError(
                f"not asked: it failed {self._failures} times in a row; a new start of the worker asks again"
            )
        try:
            found = list(sensors(self._report(node.seconds)))
            if not found:
                raise PollError(f"{self._command[0]} told of no sensor with a reading")
        except PollError:
            self._failures += 1
            raise
        self._failures = 0
        for sensor in found:
            if meter := _meter(sensor):
                yield replace(meter, unit=sensor.unit or meter.unit).read(
                    sensor.reading,
                    resource_id=f"{node.name}-{sensor.id.lower().replace(' ', '_')}",
                    resource_metadata=_metadata(sensor, meter, node.name),
                )

    def _report(self, seconds: float) -> str:
        allowed = min(self._seconds, seconds)
        try:
            done = subprocess.run(
                [*self._command, "sdr", "-v"],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=allowed,
                check=False,
                env={**os.environ, "LC_ALL": "C"},  # numbers with a point
            )
        except subprocess.TimeoutExpired as exc:
            raise PollError(f"{self._command[0]} did not end within {allowed:.1f} s") from exc
        except OSError as exc:
            raise PollError(f"{self._command[0]} cannot be run: {exc}") from exc
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise PollError(f"{self._command[0]} failed ({done.returncode}): {said[-1][:200] if said else 'silently'}")
        return done.stdout.decode(errors="replace")


def _meter(sensor: Sensor) -> Meter | None:
    """Of which meter a sensor's readings are. Makers call the power that a machine draws a Current, or Other."""
    if sensor.unit == "W" or (sensor.type == "Current" and "Pwr Consumption" in sensor.id):
        return POWER
    return _BY_TYPE.get(sensor.type)


def _metadata(sensor: Sensor, meter: Meter, node: str) -> dict[str, str | float]:
    if meter is FAN and sensor.maximum is not None:
        return {"node": node, "maximum_rpm": sensor.maximum}
    return {"node": node}


def _whole(name: str, got: str, least: int, most: int) -> int:
    try:
        number = int(got)
    except ValueError:
        number = most + 1
    if not least <= number <= most:
        raise PluginError(f"{name} must be a whole number from {least} to {most}, not {got!r}")
    return number
