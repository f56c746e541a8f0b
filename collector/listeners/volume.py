"""Volumes, from cinder: that one is there, and how large it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collector import payload as read
from collector.notification import Notification
from metering.counters import Counter, Kind, Meter

VOLUME = Meter("volume", Kind.GAUGE, "volume")
SIZE = Meter("volume.size", Kind.GAUGE, "GiB")


class VolumeListener:
    """Whatever happens to a volume says that it is there and how large. Silence afterwards means it was deleted."""

    meters = (VOLUME, SIZE)
    exchange = "cinder"
    event_types = (
        "volume.exists",
        "volume.retype",
        "volume.create.*",
        "volume.delete.*",
        "volume.resize.*",
        "volume.attach.*",
        "volume.detach.*",
        "volume.update.*",
        "volume.manage.*",
    )

    def counters(self, notification: Notification) -> Iterator[Counter]:
        payload = notification.payload
        about: dict[str, Any] = {
            "resource_id": read.resource(payload, "volume_id"),
            "project_id": read.text(payload, "tenant_id") or notification.project_id,
            "user_id": read.text(payload, "user_id") or notification.user_id,
            "timestamp": notification.timestamp,
            "origin": notification.message_id,
            "resource_metadata": _metadata(payload),
        }
        yield VOLUME.read(1, **about)
        size = read.number(payload, "size")
        if size is not None:
            yield SIZE.read(size, **about)


def _metadata(payload: Mapping[str, Any]) -> dict[str, Any]:
    return read.said(
        display_name=payload.get("display_name"),
        volume_type=payload.get("volume_type"),
        volume_type_id=payload.get("volume_type_id"),
        image_id=_image(payload.get("glance_metadata")),
        instance_id=_instance(payload.get("volume_attachment")),
        status=payload.get("status"),
    )


def _image(properties: Any) -> Any:
    """The image it was made from, out of a list of keys and values; None for an empty volume."""
    if not isinstance(properties, list):
        return None
    named = (entry for entry in properties if isinstance(entry, dict) and entry.get("key") == "image_id")
    return next((entry.get("value") for entry in named), None)


def _instance(attachments: Any) -> Any:
    """The instance it is attached to first; None while it is free."""
    if not isinstance(attachments, list) or not attachments or not isinstance(attachments[0], dict):
        return None
    return attachments[0].get("server_id")
