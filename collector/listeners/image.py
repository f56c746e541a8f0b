"""Images, from glance: how large one is, and how much of it was sent to whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collector import payload as read
from collector.notification import Notification
from metering.counters import Counter, Kind, Meter

SIZE = Meter("image.size", Kind.GAUGE, "B")
DOWNLOAD = Meter("image.download", Kind.DELTA, "B")
SERVE = Meter("image.serve", Kind.DELTA, "B")

# Not `location`: it may hold the credentials of glance's store.
DESCRIBED_BY = (
    "name", "status", "disk_format", "container_format", "created_at", "updated_at", "deleted", "deleted_at",
    "properties", "protected", "checksum", "visibility", "is_public", "min_disk", "min_ram",
)  # fmt: skip


class ImageListener:
    """An image's size belongs to its owner; bytes sent are the receiver's download and the owner's serving."""

    meters = (SIZE, DOWNLOAD, SERVE)
    exchange = "glance"
    event_types = ("image.update", "image.upload", "image.delete", "image.send")

    def counters(self, notification: Notification) -> Iterator[Counter]:
        made_of = {"timestamp": notification.timestamp, "origin": notification.message_id}
        if notification.event_type == "image.send":
            yield from _transfer(notification.payload, made_of)
        else:
            yield from _size(notification.payload, made_of)


def _size(payload: Mapping[str, Any], made_of: Mapping[str, Any]) -> Iterator[Counter]:
    size = read.number(payload, "size")
    if size is None:
        return  # nothing was uploaded yet
    yield SIZE.read(
        size,
        resource_id=read.resource(payload, "id"),
        project_id=read.text(payload, "owner"),
        resource_metadata=read.said(**{key: payload.get(key) for key in DESCRIBED_BY}),
        **made_of,
    )


def _transfer(payload: Mapping[str, Any], made_of: Mapping[str, Any]) -> Iterator[Counter]:
    sent = read.number(payload, "bytes_sent")
    if sent is None:
        return
    image = read.resource(payload, "image_id")
    owner = read.text(payload, "owner_id")
    receiver = read.text(payload, "receiver_tenant_id")
    receiving_user = read.text(payload, "receiver_user_id")
    address = payload.get("destination_ip")
    yield DOWNLOAD.read(
        sent,
        resource_id=image,
        project_id=receiver,
        user_id=receiving_user,
        resource_metadata=read.said(destination_ip=address, owner_id=owner),
        **made_of,
    )
    yield SERVE.read(
        sent,
        resource_id=image,
        project_id=owner,
        resource_metadata=read.said(
            destination_ip=address, receiver_user_id=receiving_user, receiver_tenant_id=receiver
        ),
        **made_of,
    )
