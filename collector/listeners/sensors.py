"""The sensors of bare-metal machines, which ironic reads over IPMI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from collector.notification import Notification, parse_time
from collector.payload import mapping, number, resource, said, text
from metering.counters import Counter, Kind, Meter
from metering.errors import BadReading, MeteringError

# By ironic's name of a sensor's type. The units are the usual ones: each sample carries that of its reading.
METERS = {
    "Temperature": Meter("hardware.ipmi.temperature", Kind.GAUGE, "C"),
    "Voltage": Meter("hardware.ipmi.voltage", Kind.GAUGE, "V"),
    "Current": Meter("hardware.ipmi.current", Kind.GAUGE, "Amps"),
    "Fan": Meter("hardware.ipmi.fan", Kind.GAUGE, "RPM"),
}
UNITS = {"Volts": "V", "Watts": "W"}
SILENT = ("disabled", "no reading", "not readable", "na", "n/a")  # what a sensor says that measures nothing now


class SensorListener:
    """Each sensor's reading; one that cannot be read costs only itself, and is told of."""

    meters = tuple(METERS.values())
    exchange = "ironic"
    event_types = ("hardware.ipmi.*",)

    def counters(self, notification: Notification) -> Iterator[Counter | BadReading]:
        payload = mapping(notification.payload, "its payload")
        about = _about(payload, notification)
        node = resource(payload.get("node_uuid"), "node_uuid")
        for kind, sensors in mapping(payload.get("payload"), "payload.payload").items():
            meter = METERS.get(kind)
            if meter is None:
                continue  # a kind that has no meter, such as the doors of a chassis
            for name, sensor in mapping(sensors, kind).items():
                try:
                    yield from _read(meter, node, name, sensor, about)
                except (ValueError, MeteringError) as exc:
                    yield BadReading(f"{kind} {name}: {exc}")


def _about(payload: Mapping[str, Any], notification: Notification) -> dict[str, Any]:
    said_at = text(payload.get("timestamp"), "timestamp")
    moment: datetime = parse_time(said_at) if said_at else notification.timestamp
    return {
        "project_id": text(payload.get("project_id"), "project_id") or notification.project_id,
        "user_id": text(payload.get("user_id"), "user_id") or notification.user_id,
        "timestamp": moment,
        "origin": notification.message_id,
        "resource_metadata": said(
            node=payload.get("node_uuid"),
            node_name=payload.get("node_name"),
            instance_id=payload.get("instance_uuid"),
            event_type=notification.event_type,
            host=notification.publisher_id,
        ),
    }


def _read(meter: Meter, node: str, name: str, sensor: Any, about: Mapping[str, Any]) -> Iterator[Counter]:
    told = mapping(sensor, "a sensor")
    reading = resource(told.get("Sensor Reading"), "Sensor Reading").strip()
    if reading.lower() in SILENT:
        return
    # "21 (+/- 1) degrees C": the first word is the number, the last its unit.
    words = reading.split()
    volume = number(words[0] if words else "", "Sensor Reading")
    if volume is None:
        raise ValueError("Sensor Reading is empty")
    unit = words[-1] if len(words) > 1 else meter.unit
    sensor_id = text(told.get("Sensor ID"), "Sensor ID") or name
    yield replace(meter, unit=UNITS.get(unit, unit)).read(
        volume, resource_id=f"{node}-{sensor_id.strip().lower().replace(' ', '_')}", **about
    )
