"""A machine that answers over SNMP: net-snmp's own daemon, on a port of this machine's."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

USER, PASSWORD, KEY = "reader", "a-password-of-tests", "a-key-of-the-tests"


class SNMPDaemon:
    """Runs until it is closed; knows one community and one user."""

    def __init__(self, folder: Path, community: str = "watched") -> None:
        self.port = _free_port()
        self.community = community
        settings = folder / "snmpd.conf"
        settings.write_text(
            f"agentaddress udp:127.0.0.1:{self.port}\nrocommunity {community} 127.0.0.1\n"
            f"createUser {USER} SHA-256 {PASSWORD} AES {KEY}\nrouser {USER} priv\ndisk /\n"
        )
        log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "snmpd",
                "-f",
                "-C",
                "-c",
                str(settings),
                "-Lo",
                "-p",
                str(folder / "pid"),
                f"--persistentDir={folder}/state",
            ],
            env={**os.environ, "MIBS": ""},  # it complains of those that are not there
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        self._wait(folder / "log")

    @property
    def url(self) -> str:
        return f"snmp://127.0.0.1:{self.port}"

    @property
    def by_community(self) -> str:
        return f"snmp://{self.community}@127.0.0.1:{self.port}"

    @property
    def by_user(self) -> str:
        return f"snmp://{USER}:{PASSWORD}@127.0.0.1:{self.port}?auth_proto=sha256&priv_proto=aes&priv_password={KEY}"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _wait(self, log: Path) -> None:
        until = time.monotonic() + 20
        while b"NET-SNMP version" not in log.read_bytes():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
