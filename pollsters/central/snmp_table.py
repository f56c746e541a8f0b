"""What is asked of a machine over SNMP, and of which meter the answers are. Data only.

The kinds are those under which these meters have always been known: the CPU's ticks and the disks' bytes and
requests are gauges, though they only grow; a query for a rate takes them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metering.counters import Kind, Meter

G, C = Kind.GAUGE, Kind.CUMULATIVE
_UCD = "1.3.6.1.4.1.2021"  # what net-snmp tells of a machine
_IF = "1.3.6.1.2.1.2.2.1"  # interfaces
_IFX = "1.3.6.1.2.1.31.1.1.1"  # the same, with counters of 64 bits
_IP = "1.3.6.1.2.1.4"
ADDRESSES = f"{_IP}.20.1.2"  # of each IPv4 address of the machine, the index of its interface


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single figure; ``rest_of`` is one from which it is taken away."""

    meter: Meter
    oid: str
    rest_of: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of each row of a table; ``wide`` is the same in 64 bits, where the machine has it."""

    meter: Meter
    oid: str
    wide: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows, each a resource of its own, called ``<host>.<name>``."""

    name: str  # the column with a row's name
    columns: tuple[Column, ...]
    texts: Mapping[str, str] = field(default_factory=dict)  # metadata: name -> column
    is_interface: bool = False  # then with speed, mac and ip in the metadata


def _scalar(name: str, kind: Kind, unit: str, oid: str, rest_of: str | None = None) -> Scalar:
    return Scalar(Meter(f"hardware.{name}", kind, unit), oid, rest_of)


def _column(name: str, kind: Kind, unit: str, oid: str, wide: str | None = None) -> Column:
    return Column(Meter(f"hardware.{name}", kind, unit), oid, wide)


SCALARS = (
    _scalar("cpu.load.1min", G, "process", f"{_UCD}.10.1.3.1"),
    _scalar("cpu.load.5min", G, "process", f"{_UCD}.10.1.3.2"),
    _scalar("cpu.load.15min", G, "process", f"{_UCD}.10.1.3.3"),
    _scalar("cpu.util", G, "%", f"{_UCD}.11.9.0"),
    _scalar("cpu.user", G, "tick", f"{_UCD}.11.50.0"),
    _scalar("cpu.nice", G, "tick", f"{_UCD}.11.51.0"),
    _scalar("cpu.system", G, "tick", f"{_UCD}.11.52.0"),
    _scalar("cpu.idle", G, "tick", f"{_UCD}.11.53.0"),
    _scalar("cpu.wait", G, "tick", f"{_UCD}.11.54.0"),
    _scalar("cpu.kernel", G, "tick", f"{_UCD}.11.55.0"),
    _scalar("cpu.interrupt", G, "tick", f"{_UCD}.11.56.0"),
    _scalar("memory.total", G, "KB", f"{_UCD}.4.5.0"),
    _scalar("memory.used", G, "KB", f"{_UCD}.4.6.0", rest_of=f"{_UCD}.4.5.0"),  # it tells what is free
    _scalar("memory.swap.total", G, "KB", f"{_UCD}.4.3.0"),
    _scalar("memory.swap.avail", G, "KB", f"{_UCD}.4.4.0"),
    _scalar("memory.buffer", G, "KB", f"{_UCD}.4.14.0"),
    _scalar("memory.cached", G, "KB", f"{_UCD}.4.15.0"),
    _scalar("network.ip.outgoing.datagrams", C, "datagrams", f"{_IP}.10.0"),
    _scalar("network.ip.incoming.datagrams", C, "datagrams", f"{_IP}.3.0"),
    _scalar("system_stats.cpu.idle", G, "%", f"{_UCD}.11.11.0"),
    _scalar("system_stats.io.outgoing.blocks", C, "blocks", f"{_UCD}.11.57.0"),
    _scalar("system_stats.io.incoming.blocks", C, "blocks", f"{_UCD}.11.58.0"),
)

TABLES = (
    Table(
        f"{_UCD}.9.1.3",
        (
            _column("disk.size.total", G, "KB", f"{_UCD}.9.1.6"),
            _column("disk.size.used", G, "KB", f"{_UCD}.9.1.8"),
        ),
        {"device": f"{_UCD}.9.1.3", "path": f"{_UCD}.9.1.2"},
    ),
    Table(
        f"{_UCD}.13.15.1.1.2",
        (
            _column("disk.read.bytes", G, "B", f"{_UCD}.13.15.1.1.3", wide=f"{_UCD}.13.15.1.1.12"),
            _column("disk.read.requests", G, "requests", f"{_UCD}.13.15.1.1.5"),
            _column("disk.write.bytes", G, "B", f"{_UCD}.13.15.1.1.4", wide=f"{_UCD}.13.15.1.1.13"),
            _column("disk.write.requests", G, "requests", f"{_UCD}.13.15.1.1.6"),
        ),
        {"device": f"{_UCD}.13.15.1.1.2"},
    ),
    Table(
        f"{_IF}.2",
        (
            _column("network.incoming.bytes", C, "B", f"{_IF}.10", wide=f"{_IFX}.6"),
            _column("network.outgoing.bytes", C, "B", f"{_IF}.16", wide=f"{_IFX}.10"),
            _column("network.outgoing.errors", C, "packet", f"{_IF}.20"),
        ),
        {"name": f"{_IF}.2"},
        is_interface=True,
    ),
)
SPEEDS, MACS = f"{_IF}.5", f"{_IF}.6"  # in bits per second; as six bytes
