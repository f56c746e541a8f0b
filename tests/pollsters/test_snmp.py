from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metering import environment
from metering.counters import Counter
from metering.errors import PluginError, PollError
from pollsters import runner
from pollsters.central import snmp_reading, snmp_targets
from pollsters.central.snmp import SNMPPollster
from pollsters.central.snmp_reading import Reading, Value
from pollsters.central.snmp_targets import Credentials, Target
from pollsters.runner import Place
from tests.snmp_lab import SNMPDaemon

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
UCD, IF, IFX = "1.3.6.1.4.1.2021", "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"
WEB = Target("web-1", 161, Credentials("public"))
Make = Callable[..., SNMPPollster]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SNMPDaemon]:
    running = SNMPDaemon(tmp_path_factory.mktemp("snmp"))
    yield running
    running.close()


@pytest.fixture
def pollster() -> Iterator[Make]:
    made: list[SNMPPollster] = []

    def make(*targets: str, seconds: str = "10") -> SNMPPollster:
        made.append(SNMPPollster({"METERING_SNMP_TARGETS": " ".join(targets), "METERING_SNMP_SECONDS": seconds}))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a machine that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        yield f"snmp://public@127.0.0.1:{deaf.getsockname()[1]}"


def poll(pollster: SNMPPollster) -> runner.Poll:
    found = {"snmp": pollster}
    return runner.poll_central(found, lambda _: True, lambda _: True, str, NOW, 30)


@pytest.mark.parametrize("way", ["by_community", "by_user"])
def test_a_real_machine_is_read_with_a_community_and_as_a_user(daemon: SNMPDaemon, pollster: Make, way: str) -> None:
    done = poll(pollster(getattr(daemon, way)))

    assert done.errors == {}
    named: dict[str, list[Counter]] = {}
    for counter in done.counters:
        named.setdefault(counter.name, []).append(counter)
    [total] = named["hardware.memory.total"]
    [load] = named["hardware.cpu.load.15min"]
    assert (total.volume, total.unit, total.resource_id) == (_meminfo("MemTotal"), "KB", "127.0.0.1")
    assert 0 < named["hardware.memory.used"][0].volume < total.volume
    assert 0 <= load.volume < 1_000
    assert total.resource_metadata == {"resource_url": daemon.url}
    size = next(c for c in named["hardware.disk.size.total"] if c.resource_metadata["path"] == "/")
    assert size.volume == pytest.approx(min(shutil.disk_usage("/").total / 1024, 2**31 - 1), rel=0.01)
    loopback = next(c for c in named["hardware.network.incoming.bytes"] if c.resource_metadata["name"] == "lo")
    assert loopback.resource_id == "127.0.0.1.lo"
    assert loopback.resource_metadata["ip"] == "127.0.0.1"
    assert 0 < loopback.volume <= int(Path("/sys/class/net/lo/statistics/rx_bytes").read_text())


def _meminfo(name: str) -> int:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines[name].split()[0])


def test_a_machine_that_is_silent_costs_only_itself(daemon: SNMPDaemon, silent: str, pollster: Make) -> None:
    machines = pollster(silent, daemon.by_community)
    silent_place, place = machines.places()
    machines.begin(time.monotonic() + 0.5)
    with pytest.raises(PollError, match=r"not all was answered within 0\.\d s"):
        list(machines.poll(silent_place))

    done = poll(machines)

    assert done.errors == {"snmp": 1}
    assert place.region == daemon.url
    assert {counter.resource_metadata["resource_url"] for counter in done.counters} == {daemon.url}


def test_the_second_poll_of_a_silent_machine_takes_one_try_only(silent: str, pollster: Make) -> None:
    machines = pollster(silent, seconds="30")
    [place] = machines.places()
    times = []
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(PollError, match="No SNMP response"):
            list(machines.poll(place))
        times.append(time.monotonic() - began)

    assert times[0] > 3.5
    assert times[1] < 3.5


def test_a_wrong_password_is_told_without_it(daemon: SNMPDaemon, pollster: Make) -> None:
    machines = pollster(f"snmp://reader:quite-another-one@127.0.0.1:{daemon.port}?auth_proto=sha256")
    [place] = machines.places()

    with pytest.raises(PollError) as refused:
        list(machines.poll(place))

    assert str(refused.value).startswith(f"{daemon.url}: ")
    assert "quite" not in str(refused.value)


def test_two_users_of_one_name_on_two_machines_do_not_mix(tmp_path: Path, daemon: SNMPDaemon, pollster: Make) -> None:
    wrong = daemon.by_user.replace("a-password-of-tests", "another-password")
    other = SNMPDaemon(tmp_path)
    try:
        done = poll(pollster(wrong, other.by_user))
    finally:
        other.close()

    assert done.errors == {"snmp": 1}
    assert {counter.resource_metadata["resource_url"] for counter in done.counters} == {other.url}


def test_a_host_nobody_knows_is_an_error_of_its_own(pollster: Make) -> None:
    assert poll(pollster("snmp://public@no-such-host.invalid")).errors == {"snmp": 1}


def test_nothing_is_asked_once_the_polls_time_is_over(daemon: SNMPDaemon, pollster: Make) -> None:
    machines = pollster(daemon.by_community)
    [place] = machines.places()
    machines.begin(time.monotonic() - 1)

    with pytest.raises(PollError, match="no time was left"):
        list(machines.poll(place))


class FakeAgent:
    """A machine with these figures, and these columns."""

    def __init__(self, figures: Mapping[str, Value], columns: Mapping[str, dict[str, Value]]) -> None:
        self._figures, self._columns = figures, columns

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        return {oid: self._figures[oid] for oid in oids if oid in self._figures}

    async def walk(self, column: str) -> dict[str, Value]:
        return dict(self._columns.get(column, {}))


def counters(
    figures: Mapping[str, Value] | None = None, columns: Mapping[str, dict[str, Value]] | None = None
) -> list[Counter]:
    reading: Reading = asyncio.run(snmp_reading.read(FakeAgent(figures or {}, columns or {})))
    return list(snmp_reading.counters(WEB, reading))


def test_used_memory_is_what_is_not_free() -> None:
    told = counters({f"{UCD}.4.5.0": 1_000, f"{UCD}.4.6.0": 300})

    assert {(c.name, c.volume) for c in told} == {("hardware.memory.total", 1_000), ("hardware.memory.used", 700)}
    assert [c.name for c in counters({f"{UCD}.4.6.0": 300})] == [], "of an unknown total nothing is known to be used"


@pytest.mark.parametrize("said", [b"0.42", b" 0.42"])
def test_a_load_comes_as_a_text(said: bytes) -> None:
    assert [c.volume for c in counters({f"{UCD}.10.1.3.1": said})] == [0.42]


@pytest.mark.parametrize("said", [b"", b"high", b"nan", b"\xff", b"inf"])
def test_a_figure_that_is_no_number_gives_no_sample(said: bytes) -> None:
    assert counters({f"{UCD}.10.1.3.1": said}) == []


def test_an_interface_tells_its_name_speed_mac_and_address_and_its_wide_counters_are_taken() -> None:
    [incoming, outgoing, errors] = counters(
        columns={
            f"{IF}.2": {"2": b"eth0"},
            f"{IF}.5": {"2": 1_000_000_000},
            f"{IF}.6": {"2": b"\x52\x54\x00\xaa\xbb\xcc"},
            f"{IF}.10": {"2": 17},
            f"{IF}.16": {"2": 18},
            f"{IF}.20": {"2": 0},
            f"{IFX}.6": {"2": (1 << 32) + 17},
            "1.3.6.1.2.1.4.20.1.2": {"10.0.0.7": 2, "127.0.0.1": 1},
        }
    )

    assert (incoming.name, incoming.volume) == ("hardware.network.incoming.bytes", (1 << 32) + 17)
    assert (outgoing.name, outgoing.volume, outgoing.unit) == ("hardware.network.outgoing.bytes", 18, "B")
    assert (errors.name, errors.volume, errors.resource_id) == ("hardware.network.outgoing.errors", 0, "web-1.eth0")
    assert incoming.resource_metadata == {
        "resource_url": "snmp://web-1:161",
        "name": "eth0",
        "speed": 125_000_000,
        "mac": "52:54:00:aa:bb:cc",
        "ip": "10.0.0.7",
    }


def test_two_mounts_of_one_device_stay_two_resources() -> None:
    told = counters(
        columns={
            f"{UCD}.9.1.3": {"1": b"/dev/sda1", "2": b"/dev/sda1"},
            f"{UCD}.9.1.2": {"1": b"/", "2": b"/srv"},
            f"{UCD}.9.1.6": {"1": 10, "2": 20},
        }
    )

    assert {(c.resource_id, c.volume, c.resource_metadata["path"]) for c in told} == {
        ("web-1./dev/sda1", 10, "/"),
        ("web-1./dev/sda1.2", 20, "/srv"),
    }


def test_every_meter_of_the_table_is_named_once() -> None:
    names = [meter.name for meter in SNMPPollster.meters]

    assert len(names) == len(set(names)) == 31
    assert all(name.startswith("hardware.") for name in names)


def test_targets_are_listed_with_commas_blanks_and_lines() -> None:
    text = "snmp://a  # the first\n# none here\nsnmp://secret%40x@[fd00::1]:1161,snmp://u:12345678@b?priv_password=87654321"

    targets = snmp_targets.parse(text)

    assert list(targets) == ["snmp://a:161", "snmp://[fd00::1]:1161", "snmp://b:161"]
    assert [target.credentials for target in targets.values()] == [
        Credentials("public"),
        Credentials("secret@x"),
        Credentials("u", "12345678", "md5", "aes", "87654321"),
    ]
    assert "secret" not in repr(targets)
    assert "8765" not in repr(targets)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ("http://a", "it must be snmp://"),
        ("snmp://", "it must be snmp://"),
        ("snmp://a:port", "cannot be read"),
        ("snmp://a,snmp://other@a:161", "comes twice"),
        ("snmp://u:tellnobody@a?colour=red", "unknown key 'colour'"),
        ("snmp://u:tellnobody@a?auth_proto=rot13", "auth_proto must be one of"),
        ("snmp://u:tellnobody@a?priv_proto=aes", "priv_proto needs priv_password"),
        ("snmp://u:tellnobody@a?priv_proto=rot13&priv_password=tellnobody", "priv_proto must be one of"),
        ("snmp://tellnobody@a?priv_proto=aes", "need a user with a password"),
        ("snmp://u:tellno@a", "at least 8 characters"),
    ],
)
def test_a_target_that_cannot_be_is_refused_without_showing_its_secret(told: str, fault: str) -> None:
    with pytest.raises(PluginError) as refused:
        SNMPPollster({"METERING_SNMP_TARGETS": told, "METERING_SNMP_SECONDS": "10"})

    assert fault in str(refused.value)
    assert str(refused.value).startswith("METERING_SNMP_TARGETS: target ")
    assert "tellno" not in str(refused.value)


def test_without_targets_it_is_off(pollster: Make) -> None:
    settings = environment.load({"METERING_NODE": "node-1"})

    assert pollster().enabled(settings) == "METERING_SNMP_TARGETS is not set: no machine is asked"
    assert pollster("snmp://a").enabled(settings) is None
    assert pollster("snmp://a").places() == [Place("snmp", "snmp://a:161")]
