"""QEMU guests without an operating system, as nova and as others define them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

PROJECT = uuid.uuid5(uuid.NAMESPACE_DNS, "project.test").hex
USER = uuid.uuid5(uuid.NAMESPACE_DNS, "user.test").hex
IMAGE = str(uuid.uuid5(uuid.NAMESPACE_DNS, "image.test"))
DISK_BYTES = 1 << 20
MEMORY_MIB = 16
FLAVOR = "m1.nano"  # a gigabyte of root disk, nothing ephemeral

# What a guest runs: it reads and writes its first disk about once a second, so that its counters move.
BOOT_SECTOR = bytes.fromhex(
    "31c0 8ed8 8ed0 bc007c fb"  # segments and stack; interrupts on
    "b80042 e80e00"  # again: read, by the packet below
    "b80043 e80800"  # write the same back
    "b91200 f4 e2fd ebec"  # sleep for 18 ticks of the clock, a second; again
    "be267c b280 cd13 c3"  # the BIOS's disk service, first disk
    "1000 0800 0080 0000 0800000000000000"  # packet: 8 sectors, to 0000:8000, from sector 8 on
).ljust(510, b"\0")

# What an idle one runs: nothing, with its interrupts off.
IDLE_SECTOR = bytes.fromhex("fa f4 ebfc").ljust(510, b"\0")

NOVA = """
  <metadata><nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
    <nova:package version="31.0.0"/><nova:name>vm-{name}</nova:name>
    <nova:creationTime>2026-01-01 00:00:00</nova:creationTime>
    <nova:flavor name="{flavor}" id="42"><nova:memory>{memory}</nova:memory><nova:disk>1</nova:disk>
      <nova:swap>0</nova:swap><nova:ephemeral>0</nova:ephemeral><nova:vcpus>1</nova:vcpus></nova:flavor>
    <nova:owner><nova:user uuid="{user}">demo</nova:user><nova:project uuid="{project}">demo</nova:project></nova:owner>
    <nova:root type="image" uuid="{image}"/>
  </nova:instance></metadata>"""
DOMAIN = """\
<domain type='qemu'>
  <name>{name}</name><uuid>{uuid}</uuid>{metadata}
  <memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <features><acpi/><tcg><tb-cache unit='MiB'>4</tb-cache></tcg></features>
  <devices>{disks}{nics}<controller type='usb' model='none'/><memballoon model='virtio'/></devices>
</domain>"""
DISK = """
    <disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>
      <source file='{path}'/><target dev='{device}' bus='virtio'/></disk>"""
NIC = """
    <interface type='bridge'><mac address='{mac}'/><source bridge='br0'/>
      <target dev='{tap}'/><model type='virtio'/><rom enabled='no'/></interface>"""


@dataclass(frozen=True)
class Guest:
    """One guest. Its project and user are None when nova did not make it."""

    name: str
    nova: bool = True
    disks: int = 1
    nics: int = 1
    idle: bool = False  # it costs next to nothing, and its counters stand still

    @property
    def uuid(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.test"))

    @property
    def project_id(self) -> str | None:
        return PROJECT if self.nova else None

    @property
    def user_id(self) -> str | None:
        return USER if self.nova else None

    @property
    def taps(self) -> list[str]:
        """The names of its network devices on the host."""
        return [f"tap{self.uuid[:8]}-{number}" for number in range(self.nics)]

    def xml(self, folder: Path) -> str:
        """Its libvirt definition; its disks are made in the folder."""
        disks = [self._disk(folder / f"{self.name}-{number}", number) for number in range(self.disks)]
        nics = [NIC.format(mac=self._mac(number), tap=tap) for number, tap in enumerate(self.taps)]
        nova = NOVA.format(name=self.name, flavor=FLAVOR, memory=MEMORY_MIB, user=USER, project=PROJECT, image=IMAGE)
        return DOMAIN.format(
            name=self.name,
            uuid=self.uuid,
            memory=MEMORY_MIB,
            metadata=nova if self.nova else "",
            disks="".join(disks),
            nics="".join(nics),
        )

    def _disk(self, path: Path, number: int) -> str:
        with path.open("wb") as image:
            image.write((IDLE_SECTOR if self.idle else BOOT_SECTOR) + b"\x55\xaa")
            image.truncate(DISK_BYTES)
        return DISK.format(path=path, device=f"vd{'abcdefgh'[number]}")

    def _mac(self, number: int) -> str:
        digits = self.uuid.replace("-", "")
        return f"fa:16:3e:{digits[:2]}:{digits[2:4]}:{number:02x}"
