"""Instances, from nova's legacy notifications: that one is there, and how large it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collector import payload as read
from collector.notification import Notification, parse_time
from metering.counters import Counter, Kind, Meter

INSTANCE = Meter("instance", Kind.GAUGE, "instance")
BOOTING_TIME = Meter("compute.instance.booting.time", Kind.GAUGE, "sec")
# Each meter of its size, with the field of the payload that says it.
SIZES = (
    (Meter("memory", Kind.GAUGE, "MiB"), "memory_mb"),
    (Meter("vcpus", Kind.GAUGE, "vcpu"), "vcpus"),
    (Meter("disk.root.size", Kind.GAUGE, "GiB"), "root_gb"),
    (Meter("disk.ephemeral.size", Kind.GAUGE, "GiB"), "ephemeral_gb"),
)
# Before it is built, and while it changes, nova's figures may be missing or those of another state.
UNSETTLED = ("compute.instance.create.start", "compute.instance.update")


class InstanceListener:
    """Whatever happens to an instance says that it is there and how large; ``exists`` says so each audit period."""

    meters = (INSTANCE, BOOTING_TIME, *(meter for meter, _ in SIZES))
    exchange = "nova"
    event_types = ("compute.instance.*",)

    def counters(self, notification: Notification) -> Iterator[Counter]:
        if notification.event_type.startswith(UNSETTLED):
            return
        payload = notification.payload
        about: dict[str, Any] = {
            "resource_id": read.resource(payload, "instance_id"),
            "project_id": read.text(payload, "tenant_id") or notification.project_id,
            "user_id": read.text(payload, "user_id") or notification.user_id,
            "timestamp": notification.timestamp,
            "origin": notification.message_id,
            "resource_metadata": _metadata(payload),
        }
        yield INSTANCE.read(1, **about)
        for meter, field in SIZES:
            size = read.number(payload, field)
            if size is not None:
                yield meter.read(size, **about)
        if notification.event_type == "compute.instance.create.end":
            yield from _booting_time(payload, about)


def _booting_time(payload: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[Counter]:
    created, launched = read.text(payload, "created_at"), read.text(payload, "launched_at")
    if created and launched:
        # Two hosts' clocks: launched may well be before created.
        seconds = abs((parse_time(launched) - parse_time(created)).total_seconds())
        yield BOOTING_TIME.read(seconds, **about)


def _metadata(payload: Mapping[str, Any]) -> dict[str, Any]:
    image = payload.get("image_meta")
    known = read.said(
        host=payload.get("host"),
        flavor_id=payload.get("instance_flavor_id"),
        flavor_name=payload.get("instance_type"),
        display_name=payload.get("display_name"),
        image_ref=image.get("base_image_ref") if isinstance(image, dict) else None,
        image_meta=image,
        launched_at=payload.get("launched_at"),
        created_at=payload.get("created_at"),
        deleted_at=payload.get("deleted_at"),
    )
    return known | read.said(user_metadata=read.user_metadata(payload.get("metadata"), known))
