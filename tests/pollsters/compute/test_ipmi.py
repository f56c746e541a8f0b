from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from metering import environment
from metering.counters import Counter, Kind, Meter
from metering.errors import HypervisorAway, PluginError, PollError
from pollsters import runner
from pollsters.compute import ipmi_sensors
from pollsters.compute.hypervisor import Hypervisor, Statistic
from pollsters.compute.ipmi import IPMIPollster
from pollsters.runner import Node
from tests import ipmi_lab
from tests.fakes import READ_AT, FakeHypervisor
from tests.ipmi_lab import ManagementController, SimulatedSensor

RECORDED = (Path(__file__).parents[2] / "data" / "ipmi" / "sdr.txt").read_text()
SENSORS = (
    SimulatedSensor("CPU1 Temp", ipmi_lab.TEMPERATURE, ipmi_lab.CELSIUS, 45),
    SimulatedSensor("BB +12.0V", ipmi_lab.VOLTAGE, ipmi_lab.VOLTS, 199, 6, -2),
    SimulatedSensor("System Fan 1", ipmi_lab.FAN, ipmi_lab.RPM, 46, 100),
    SimulatedSensor("PS1 Curr", ipmi_lab.CURRENT, ipmi_lab.AMPERES, 12, 1, -1),
    SimulatedSensor("Pwr Consumption", ipmi_lab.CURRENT, ipmi_lab.WATTS, 30, 4),
    SimulatedSensor("PS1 Input Power", ipmi_lab.OTHER, ipmi_lab.WATTS, 40, 4),
    SimulatedSensor("BB +1.35V", ipmi_lab.VOLTAGE, ipmi_lab.VOLTS, None, 6, -2),
)
NODE = Node("node-1", 30)


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagementController]:
    running = ManagementController(tmp_path_factory.mktemp("ipmi"), SENSORS)
    yield running
    running.close()


def pollster(command: str, seconds: str = "20", retries: str = "3", **other: Any) -> IPMIPollster:
    values = {
        "METERING_IPMI_COMMAND": command,
        "METERING_IPMI_SECONDS": seconds,
        "METERING_IPMI_RETRIES": retries,
    }
    return IPMIPollster(values, **other)


def tool(folder: Path, script: str) -> str:
    """A program in the place of ipmitool."""
    program = folder / "ipmitool"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def readings(counters: list[Counter]) -> dict[str, tuple[str, float, str]]:
    return {counter.resource_id: (counter.name, counter.volume, counter.unit) for counter in counters}


def test_ipmitool_reads_the_sensors_of_a_management_controller(controller: ManagementController) -> None:
    counters = list(pollster(controller.command).poll_node(NODE))

    assert readings(counters) == {
        "node-1-cpu1_temp_(0x1)": ("hardware.ipmi.temperature", 45, "C"),
        "node-1-bb_+12.0v_(0x2)": ("hardware.ipmi.voltage", 11.94, "V"),
        "node-1-system_fan_1_(0x3)": ("hardware.ipmi.fan", 4600, "RPM"),
        "node-1-ps1_curr_(0x4)": ("hardware.ipmi.current", 1.2, "Amps"),
        "node-1-pwr_consumption_(0x5)": ("hardware.ipmi.power", 120, "W"),
        "node-1-ps1_input_power_(0x6)": ("hardware.ipmi.power", 160, "W"),
    }
    assert {counter.type for counter in counters} == {Kind.GAUGE}
    assert {(counter.project_id, counter.user_id) for counter in counters} == {(None, None)}
    metadata = {counter.name: counter.resource_metadata for counter in counters}
    assert metadata["hardware.ipmi.fan"] == {"node": "node-1", "maximum_rpm": 25500}
    assert metadata["hardware.ipmi.voltage"] == {"node": "node-1"}


def test_recorded_output_gives_a_sample_for_each_sensor_that_has_a_reading(tmp_path: Path) -> None:
    (tmp_path / "sdr.txt").write_text(RECORDED)

    counters = list(pollster(tool(tmp_path, f"cat {tmp_path}/sdr.txt")).poll_node(NODE))

    assert readings(counters) == {
        "node-1-inlet_temp_(0x4)": ("hardware.ipmi.temperature", 23, "C"),
        "node-1-exhaust_temp_(0x1)": ("hardware.ipmi.temperature", -3.5, "C"),
        "node-1-fan1a_(0x30)": ("hardware.ipmi.fan", 4704, "RPM"),
        "node-1-pwr_consumption_(0x77)": ("hardware.ipmi.power", 154, "W"),
        "node-1-current_1_(0x6a)": ("hardware.ipmi.current", 0.4, "Amps"),
        "node-1-ps1_load_(0x58)": ("hardware.ipmi.current", 11, "unspecified"),
    }
    assert {c.resource_metadata.get("maximum_rpm") for c in counters if c.name == "hardware.ipmi.fan"} == {None}


@pytest.mark.parametrize("said", ["Disabled", "No Reading", "na", "nan degrees C", "inf Volts", "Not Readable", ""])
def test_a_sensor_without_a_number_has_no_sample_and_costs_no_other(said: str) -> None:
    report = (
        f"Sensor ID   : Odd (0x9)\n Sensor Type (Threshold)  : Fan (0x04)\n Sensor Reading  : {said}\n\n"
        "Sensor ID   : Even (0xa)\n Sensor Type (Threshold)  : Fan (0x04)\n Sensor Reading  : 10 (+/- 0) RPM\n"
    )

    assert [sensor.id for sensor in ipmi_sensors.sensors(report)] == ["Even (0xa)"]


def test_a_tool_that_hangs_is_ended_in_time(tmp_path: Path) -> None:
    began = time.monotonic()

    with pytest.raises(PollError, match=r"did not end within 0\.5 s"):
        list(pollster(tool(tmp_path, "exec sleep 60")).poll_node(Node("node-1", 0.5)))

    assert time.monotonic() - began < 5


def test_what_the_tool_says_of_its_failure_is_told(tmp_path: Path) -> None:
    broken = tool(tmp_path, "echo 'Could not open device at /dev/ipmi0' >&2; exit 1")

    with pytest.raises(PollError, match=r"failed \(1\): Could not open device at /dev/ipmi0"):
        list(pollster(broken).poll_node(NODE))


@pytest.mark.parametrize("output", ["", "garbage", "Sensor ID : x\nSensor ID : y", "\\377\\376: \\000"])
def test_output_without_sensors_is_a_failure_and_not_a_machine_without_heat(tmp_path: Path, output: str) -> None:
    with pytest.raises(PollError, match="told of no sensor"):
        list(pollster(tool(tmp_path, f"printf '{output}'")).poll_node(NODE))


def test_after_a_run_of_failures_the_tool_is_not_run_again_and_each_poll_says_so(tmp_path: Path) -> None:
    failing = pollster(tool(tmp_path, f"echo run >> {tmp_path}/runs; exit 1"), retries="2")

    told = []
    for _ in range(4):
        with pytest.raises(PollError) as refused:
            list(failing.poll_node(NODE))
        told.append(str(refused.value))

    assert (tmp_path / "runs").read_text().count("run") == 2
    assert "not asked: it failed 2 times in a row" in told[-1]


def test_a_success_ends_a_run_of_failures(tmp_path: Path) -> None:
    (tmp_path / "sdr.txt").write_text(RECORDED)
    moody = pollster(tool(tmp_path, f"test -e {tmp_path}/well && cat {tmp_path}/sdr.txt"), retries="2")

    for _ in range(3):
        (tmp_path / "well").unlink(missing_ok=True)
        with pytest.raises(PollError, match=r"failed \(1\)"):
            list(moody.poll_node(NODE))
        (tmp_path / "well").touch()
        assert len(list(moody.poll_node(NODE))) == 6


def test_negative_retries_never_give_up(tmp_path: Path) -> None:
    failing = pollster(tool(tmp_path, f"echo run >> {tmp_path}/runs; exit 1"), retries="-1")

    for _ in range(5):
        with pytest.raises(PollError):
            list(failing.poll_node(NODE))

    assert (tmp_path / "runs").read_text().count("run") == 5


def test_without_the_tool_or_the_device_it_is_off_and_says_why(tmp_path: Path) -> None:
    settings = environment.load({"METERING_NODE": "node-1"})
    device = tmp_path / "ipmi0"

    assert pollster("no-such-program").enabled(settings) == (
        "METERING_IPMI_COMMAND: there is no program 'no-such-program'"
    )
    assert pollster("sh", devices=(device,)).enabled(settings) == f"this machine has no IPMI device ({device})"
    assert pollster("sh -H elsewhere", devices=(device,)).enabled(settings) is None
    device.touch()
    assert pollster("sh", devices=(device,)).enabled(settings) is None


@pytest.mark.parametrize(("seconds", "retries"), [("0", "3"), ("x", "3"), ("301", "3"), ("20", "many")])
def test_an_option_that_is_no_number_is_refused_by_name(seconds: str, retries: str) -> None:
    with pytest.raises(PluginError, match="METERING_IPMI_"):
        pollster("ipmitool", seconds, retries)


def test_sensors_are_read_in_a_poll_also_when_the_hypervisor_is_away(controller: ManagementController) -> None:
    class DeadHost:
        def read(self, needs: frozenset[Statistic], seconds: float) -> Hypervisor:
            raise HypervisorAway("libvirt is not running")

    now = datetime(2026, 5, 1, tzinfo=UTC)
    both: dict[str, Any] = {"ipmi": pollster(controller.command), "cpu": _CPU()}

    away = runner.poll_compute(DeadHost(), both, lambda meter: True, 20, "o", now, node="node-1")
    there = runner.poll_compute(FakeHypervisor([]), both, lambda meter: True, 20, "o", now, node="node-1")
    alone = runner.poll_compute(DeadHost(), both, lambda meter: "ipmi" in meter, 20, "o", now, node="node-1")

    assert (len(away.counters), away.errors, {c.timestamp for c in away.counters}) == (6, {"hypervisor": 1}, {now})
    assert (len(there.counters), there.errors, {c.timestamp for c in there.counters}) == (6, {}, {READ_AT})
    assert (len(alone.counters), alone.errors) == (6, {}), "nothing was asked of the hypervisor"


class _CPU:
    meters = (Meter("cpu", Kind.CUMULATIVE, "ns"),)

    def poll(self, instance: object, hypervisor: object) -> Iterator[Counter]:
        yield from ()
