from __future__ import annotations

from typing import Any

import pytest

from collector.hearing import Heard, hear
from tests.collector.bodies import body, recorded
from tests.collector.line import index_of
from tests.collector.rows import SHIPPED

EVENT = "hardware.ipmi.metrics.update"


def heard(**payload: Any) -> Heard:
    return hear(body(recorded(EVENT, **payload)), "ironic", index_of(sensors=SHIPPED["ironic-sensors"]))


def fan(reading: Any) -> dict[str, Any]:
    return {"Fan": {"FAN 1": {"Sensor ID": "FAN 1", "Sensor Reading": reading}}}


@pytest.mark.parametrize(
    ("reading", "volume", "unit"),
    [("5400 (+/- 75) RPM", 5400, "RPM"), ("12.06 Volts", 12.06, "V"), ("7", 7, "RPM"), ("-3 degrees C", -3, "C")],
)
def test_a_reading_is_its_first_word_in_the_unit_of_its_last(reading: str, volume: float, unit: str) -> None:
    [counter] = heard(payload=fan(reading)).counters

    assert (counter.name, counter.volume, counter.unit) == ("hardware.ipmi.fan", volume, unit)
    assert counter.resource_id.endswith("-fan_1")


@pytest.mark.parametrize("reading", ["Disabled", "No Reading", "disabled", "Not Readable"])
def test_a_sensor_that_measures_nothing_gives_nothing(reading: str) -> None:
    assert heard(payload=fan(reading)) == Heard(EVENT, recorded(EVENT)["message_id"])


@pytest.mark.parametrize("reading", [None, "", " ", "fast", "nan RPM", 7, ["5400"]])
def test_a_reading_that_is_none_costs_only_its_sensor_and_is_told(reading: Any) -> None:
    result = heard(payload=fan(reading) | {"Voltage": {"12V": {"Sensor ID": "12V", "Sensor Reading": "12 Volts"}}})

    assert [c.name for c in result.counters] == ["hardware.ipmi.voltage"]
    assert [failure.reason for failure in result.failures] == ["listener sensors failed in part"]
    assert "Fan FAN 1" in result.failures[0].error


@pytest.mark.parametrize(
    "payload",
    [{"payload": None}, {"payload": []}, {"payload": {"Fan": []}}, {"node_uuid": None}, {"timestamp": "soon"}],
)
def test_a_payload_of_another_shape_is_kept(payload: dict[str, Any]) -> None:
    result = heard(**payload)

    assert result.counters == ()
    assert [failure.reason for failure in result.failures] == ["listener sensors failed"]
