"""A libvirt domain's XML: whose it is, what nova knows of it, its disks and its network interfaces."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from metering.errors import PollError
from pollsters.compute.hypervisor import VNIC

NOVA_NAMESPACES = (
    "{http://openstack.org/xmlns/libvirt/nova/1.1}",
    "{http://openstack.org/xmlns/libvirt/nova/1.0}",
)
KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class Domain:
    """What a domain's definition says. Its state is not in it."""

    id: str
    name: str
    project_id: str | None
    user_id: str | None
    metadata: Mapping[str, Any]
    disks: tuple[str, ...]  # the devices that have a medium in them
    nics: tuple[VNIC, ...]


def parse(xml: str, node: str) -> Domain:
    """Read a domain's XML, as found on host ``node``.

    What nova wrote is taken where it can be read, and left out where not; raises `PollError` for
    a text that is no domain at all.
    """
    try:
        root = ET.fromstring(xml)  # noqa: S314 # libvirt made this text itself, entities and all
    except ET.ParseError as exc:
        raise PollError(f"libvirt gave a domain XML that cannot be read: {exc}") from exc
    identity, name = _text(root, "uuid"), _text(root, "name")
    if identity is None or name is None:
        raise PollError("libvirt gave a domain XML without name or uuid")
    nova = _nova(root)
    project = nova.attribute("owner/project", "uuid")
    return Domain(
        id=identity,
        name=name,
        project_id=project,
        user_id=nova.attribute("owner/user", "uuid"),
        metadata={
            "display_name": nova.text("name") or _text(root, "title") or name,
            "name": name,
            "instance_id": identity,
            "host": hashlib.sha224(f"{project or ''}{node}".encode()).hexdigest(),
            "instance_host": node,
            "task_state": None,
            "os_type": _text(root, "os/type"),
            "architecture": _attribute(root, "os/type", "arch"),
            **_size(nova, root),
            **_image(nova),
        },
        disks=_disks(root),
        nics=_nics(root),
    )


@dataclass(frozen=True, slots=True)
class _Nova:
    """Nova's element in the XML, or nothing; paths are without its namespace."""

    element: ET.Element | None
    namespace: str

    def find(self, path: str) -> ET.Element | None:
        return None if self.element is None else self.element.find(self._name(path))

    def text(self, path: str) -> str | None:
        return None if self.element is None else _text(self.element, self._name(path))

    def number(self, path: str) -> int | None:
        return _number(self.text(path))

    def attribute(self, path: str, name: str) -> str | None:
        return None if self.element is None else _attribute(self.element, self._name(path), name)

    def named(self, path: str) -> dict[str, str]:
        """Elements that have a name and a text each, as extra specs and image properties do."""
        if self.element is None:
            return {}
        found = self.element.findall(self._name(path))
        return {item.get("name", ""): item.text or "" for item in found if item.get("name")}

    def _name(self, path: str) -> str:
        return "/".join(self.namespace + step for step in path.split("/"))


def _nova(root: ET.Element) -> _Nova:
    for namespace in NOVA_NAMESPACES:
        element = root.find(f"metadata/{namespace}instance")
        if element is not None:
            return _Nova(element, namespace)
    return _Nova(None, NOVA_NAMESPACES[0])


def _size(nova: _Nova, root: ET.Element) -> dict[str, Any]:
    """The flavor and its figures; of a domain that nova did not make, what the domain itself has."""
    if nova.find("flavor") is None:
        kib = _number(_text(root, "memory"))  # libvirt gives KiB, whatever unit the definition had
        return {
            "instance_type": None,
            "flavor": None,
            "vcpus": _number(_text(root, "vcpu")),
            "memory_mb": None if kib is None else kib // KIB_PER_MIB,
        }
    flavor: dict[str, Any] = {
        "id": nova.attribute("flavor", "id"),
        "name": nova.attribute("flavor", "name"),
        "vcpus": nova.number("flavor/vcpus"),
        "ram": nova.number("flavor/memory"),
        "disk": nova.number("flavor/disk"),
        "ephemeral": nova.number("flavor/ephemeral"),
        "swap": nova.number("flavor/swap"),
    }
    if nova.find("flavor/extraSpecs") is not None:
        flavor["extra_specs"] = nova.named("flavor/extraSpecs/extraSpec")
    disk, ephemeral = flavor["disk"], flavor["ephemeral"]
    return {
        "instance_type": flavor["name"],
        "flavor": flavor,
        "vcpus": flavor["vcpus"],
        "memory_mb": flavor["ram"],
        "disk_gb": disk,
        "ephemeral_gb": ephemeral,
        "root_gb": None if disk is None or ephemeral is None else disk - ephemeral,
    }


def _image(nova: _Nova) -> dict[str, Any]:
    """The image that the guest was made from; none for one that boots from a volume."""
    root = nova.find("root")
    made_from = root.get("uuid") if root is not None and root.get("type") == "image" else None
    image = made_from or nova.attribute("image", "uuid")
    about: dict[str, Any] = {
        "image": {"id": image} if image else None,
        "image_ref": image,
        "image_ref_url": None,  # nova's metadata has no links
    }
    if nova.find("image") is not None:
        about["image_meta"] = {
            "container_format": nova.text("image/containerFormat"),
            "disk_format": nova.text("image/diskFormat"),
            "min_disk": nova.number("image/minDisk"),
            "min_ram": nova.number("image/minRam"),
            "properties": nova.named("image/properties/property"),
        }
    return about


def _disks(root: ET.Element) -> tuple[str, ...]:
    """Devices with a source; an empty CD-ROM drive has none, and no figures either."""
    return tuple(
        target
        for disk in root.findall("devices/disk")
        if disk.find("source") is not None and (target := _attribute(disk, "target", "dev"))
    )


def _nics(root: ET.Element) -> tuple[VNIC, ...]:
    """Interfaces that have a name on the host and an address; others cannot be told apart."""
    return tuple(
        VNIC(
            name=name,
            mac=mac,
            fref=_attribute(nic, "filterref", "filter"),
            parameters={
                parameter.get("name", "").lower(): parameter.get("value", "")
                for parameter in nic.findall("filterref/parameter")
            },
            interfaceid=_attribute(nic, "virtualport/parameters", "interfaceid"),
            bridge=_attribute(nic, "source", "bridge"),
        )
        for nic in root.findall("devices/interface")
        if (name := _attribute(nic, "target", "dev")) and (mac := _attribute(nic, "mac", "address"))
    )


def _text(element: ET.Element, path: str) -> str | None:
    return (element.findtext(path) or "").strip() or None


def _attribute(element: ET.Element, path: str, name: str) -> str | None:
    found = element.find(path)
    return (found.get(name) or None) if found is not None else None


def _number(text: str | None) -> int | None:
    """A whole number written in ASCII digits, else None."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 18 else None
