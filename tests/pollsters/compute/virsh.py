"""What virsh says of the guests, as the samples that should come of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence

from tests.libvirt_guests import FLAVOR, Guest
from tests.libvirt_lab import LibvirtLab

Samples = dict[tuple[str, str], float]  # volumes by meter and resource
KIB = 1024

_DISK = {
    "read.bytes": "rd.bytes",
    "read.requests": "rd.reqs",
    "read.latency": "rd.times",
    "write.bytes": "wr.bytes",
    "write.requests": "wr.reqs",
    "write.latency": "wr.times",
}
_NIC = {
    "incoming.bytes": "rx.bytes",
    "incoming.packets": "rx.pkts",
    "incoming.packets.error": "rx.errs",
    "incoming.packets.drop": "rx.drop",
    "outgoing.bytes": "tx.bytes",
    "outgoing.packets": "tx.pkts",
    "outgoing.packets.error": "tx.errs",
    "outgoing.packets.drop": "tx.drop",
}


def run(lab: LibvirtLab, commands: Sequence[str]) -> str:
    """What virsh answers to commands that it is given together."""
    command = ["virsh", "--quiet", "--readonly", "--connect", lab.read_only_uri, "; ".join(commands)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def told(lab: LibvirtLab, guests: Sequence[Guest]) -> Samples:
    """Every sample that should come of these guests."""
    samples: Samples = {}
    stats = _domstats(lab, guests)
    space = _domblkinfo(lab, guests)
    for guest in guests:
        samples |= _whole(guest, stats[guest.name])
        samples |= dict(_disks(guest, stats[guest.name], space[guest.name]))
        samples |= dict(_nics(guest, stats[guest.name]))
    return samples


def told_of_stopped(lab: LibvirtLab, guest: Guest) -> Samples:
    """Every sample that should come of a guest that is off."""
    about = dict(line.split(":", 1) for line in run(lab, [f"dominfo {guest.name}"]).splitlines() if ":" in line)
    samples = {
        ("power.state", guest.uuid): 5.0 if about["State"].strip() == "shut off" else -1.0,
        ("vcpus", guest.uuid): float(about["CPU(s)"]),
        ("memory", guest.uuid): float(about["Max memory"].removesuffix("KiB")) / KIB,
    }
    for index, (capacity, allocation, physical) in enumerate(_domblkinfo(lab, [guest])[guest.name]):
        resource = f"{guest.uuid}-vd{'abcdefgh'[index]}"
        samples["disk.device.capacity", resource] = capacity
        samples["disk.device.allocation", resource] = allocation
        samples["disk.device.usage", resource] = physical
    return samples


def domiflist(lab: LibvirtLab, guest: Guest) -> set[tuple[str, str, str]]:
    """Name, bridge and address of each interface."""
    rows = [line.split() for line in run(lab, [f"domiflist {guest.name}"]).splitlines() if line.strip()]
    return {(name, bridge, mac) for name, _, bridge, _, mac in rows}


def _domstats(lab: LibvirtLab, guests: Sequence[Guest]) -> dict[str, dict[str, int]]:
    names = " ".join(guest.name for guest in guests)
    told: dict[str, dict[str, int]] = {}
    for block in run(lab, [f"domstats --raw {names}"]).split("Domain: ")[1:]:
        name, *lines = block.splitlines()
        pairs = (line.strip().split("=", 1) for line in lines if "=" in line)
        told[name.strip("'")] = {key: int(value) for key, value in pairs if value.lstrip("-").isdigit()}
    return told


def _domblkinfo(lab: LibvirtLab, guests: Sequence[Guest]) -> dict[str, list[tuple[int, int, int]]]:
    """Capacity, allocation and physical size of each disk, in the order of the definition."""
    with_disks = [guest for guest in guests if guest.disks]
    answers = run(lab, [f"domblkinfo --all {guest.name}" for guest in with_disks])
    rows = iter([[int(number) for number in line.split()[1:]] for line in answers.splitlines() if line.strip()])
    told: dict[str, list[tuple[int, int, int]]] = {guest.name: [] for guest in guests}
    for guest in with_disks:
        for _ in range(guest.disks):
            capacity, allocation, physical = next(rows)
            told[guest.name].append((capacity, allocation, physical))
    return told


def _whole(guest: Guest, stats: dict[str, int]) -> Samples:
    volumes = {
        "cpu": stats["vcpu.0.time"] + stats["vcpu.0.wait"],
        "vcpus": stats["vcpu.current"],
        "power.state": stats["state.state"],
        "memory": stats["balloon.current"] / KIB,
        "memory.resident": stats["balloon.rss"] / KIB,
        "instance": 1,
    }
    if guest.nova:
        volumes |= {f"instance:{FLAVOR}": 1, "disk.root.size": 1, "disk.ephemeral.size": 0}
    return {(meter, guest.uuid): volume for meter, volume in volumes.items()}


def _disks(
    guest: Guest, stats: dict[str, int], space: list[tuple[int, int, int]]
) -> Iterator[tuple[tuple[str, str], float]]:
    devices = [f"vd{'abcdefgh'[number]}" for number in range(guest.disks)]
    for index, device in enumerate(devices):
        resource = f"{guest.uuid}-{device}"
        for meter, name in _DISK.items():
            yield (f"disk.device.{meter}", resource), stats[f"block.{index}.{name}"]
        capacity, allocation, physical = space[index]
        yield ("disk.device.capacity", resource), max(capacity, physical)
        yield ("disk.device.allocation", resource), allocation
        yield ("disk.device.usage", resource), physical
    for meter, name in _DISK.items() if devices else ():
        if not meter.endswith("latency"):
            yield (f"disk.{meter}", guest.uuid), sum(stats[f"block.{index}.{name}"] for index in range(len(devices)))
    if devices:
        yield ("disk.capacity", guest.uuid), sum(max(capacity, physical) for capacity, _, physical in space)
        yield ("disk.allocation", guest.uuid), sum(allocation for _, allocation, _ in space)
        yield ("disk.usage", guest.uuid), sum(physical for _, _, physical in space)


def _nics(guest: Guest, stats: dict[str, int]) -> Iterator[tuple[tuple[str, str], float]]:
    for index, tap in enumerate(guest.taps):  # libvirt tells them in the order of the definition
        resource = f"{guest.name}-{guest.uuid}-{tap}"
        for meter, name in _NIC.items():
            yield (f"network.{meter}", resource), stats[f"net.{index}.{name}"]
        for way in ("incoming", "outgoing"):
            yield (f"network.{way}.bytes.delta", resource), 0  # nothing is remembered between two polls here
