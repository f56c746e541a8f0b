"""A management controller on this machine: OpenIPMI's simulator, for the real ``ipmitool`` to ask over the network."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CELSIUS, VOLTS, AMPERES, WATTS, RPM = 1, 4, 5, 6, 18  # units, as a sensor's record numbers them
TEMPERATURE, VOLTAGE, CURRENT, FAN, OTHER = 1, 2, 3, 4, 11  # types of sensors


@dataclass(frozen=True)
class SimulatedSensor:
    """A reading is ``raw`` × ``factor`` × 10 ^ ``exponent``; without ``raw`` it is disabled."""

    name: str
    type: int
    unit: int
    raw: int | None
    factor: int = 1
    exponent: int = 0

    def commands(self, number: int) -> list[str]:
        """What the simulator is told of it."""
        scanning = "no-scanning" if self.raw is None else "scanning"
        mask = "0" * 15
        return [
            "main_sdr_add 0x20 " + " ".join(f"0x{byte:02x}" for byte in self._record(number)),
            f"sensor_add 0x20 0 {number} {self.type:#x} 1",
            f"sensor_set_value 0x20 0 {number} {self.raw or 0} 0",
            f"sensor_set_event_support 0x20 0 {number} enable {scanning} per-state {mask} {mask} {mask} {mask}",
        ]

    def _record(self, number: int) -> bytes:
        """The full sensor record of the IPMI specification, section 43.1."""
        body = bytes([0x20, 0, number, 7, 1, 0x7F, 0x68, self.type, 1, 0, 0, 0, 0, 0x3F, 0x3F, 0, self.unit, 0])
        body += bytes([0, self.factor, 0, 0, 0, 0, (self.exponent & 0xF) << 4, 7, 0, 0xFF, 0, 0xFF, 0])
        body += bytes([200, 190, 180, 0, 5, 10, 2, 2, 0, 0, 0, 0xC0 | len(self.name)]) + self.name.encode()
        return bytes([number, 0, 0x51, 1, len(body)]) + body


class ManagementController:
    """Runs until it is closed. ``command`` is how ipmitool is called for it."""

    def __init__(self, folder: Path, sensors: Sequence[SimulatedSensor]) -> None:
        port = _free_port()
        self.command = f"ipmitool -I lanplus -C 3 -H 127.0.0.1 -p {port} -U meter -P secret"
        lines = ["mc_setbmc 0x20", "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02"]
        for number, sensor in enumerate(sensors, 1):
            lines += sensor.commands(number)
        (folder / "sensors").write_text("\n".join([*lines, "mc_enable 0x20"]) + "\n")
        (folder / "lan").write_text(
            f'name "lab"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {port}\npriv_limit admin\n'
            "allowed_auths_admin none md2 md5 straight\nguid a123456789abcdefa123456789abcdef\nendlan\n"
            'user 2 true "meter" "secret" admin 10 none md2 md5 straight\n'
        )
        state = str(folder / "state")
        self._process = subprocess.Popen(
            ["ipmi_sim", "-c", str(folder / "lan"), "-f", str(folder / "sensors"), "-s", state, "-n"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        self._wait(port)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _wait(self, port: int) -> None:
        until = time.monotonic() + 20
        while not _answers(port):
            assert self._process.poll() is None, "ipmi_sim ended"
            assert time.monotonic() < until, "ipmi_sim does not answer"


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    """Whether something there knows RMCP: a presence ping, and its pong."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.2)
        try:
            probe.connect(("127.0.0.1", port))
            probe.send(bytes([6, 0, 0xFF, 6, 0, 0, 0x11, 0xBE, 0x80, 0, 0, 0]))
            return bool(probe.recv(64))
        except OSError:
            time.sleep(0.05)
            return False
