"""Volumes, their snapshots and backups: the size of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.central.service import ServicePollster, number, pick
from pollsters.runner import Place

VOLUME_SIZE = Meter("volume.size", Kind.GAUGE, "GiB")
SNAPSHOT_SIZE = Meter("volume.snapshot.size", Kind.GAUGE, "GiB")
BACKUP_SIZE = Meter("volume.backup.size", Kind.GAUGE, "GiB")

EVERYBODYS = {"all_tenants": "1", "limit": "1000"}
# From 3.18 on a backup names its project, from 3.41 a snapshot its user, from 3.63 a volume its type's id. Wallaby
# and later have 3.64.
VERSION = {"OpenStack-API-Version": "volume 3.64"}

VOLUME_FIELDS = (
    "name", "status", "volume_type", "volume_type_id", "availability_zone", "os-vol-host-attr:host",
    "migration_status", "attachments", "snapshot_id", "source_volid",
)  # fmt: skip
SNAPSHOT_FIELDS = (
    "name", "volume_id", "status", "description", "metadata", "os-extended-snapshot-attributes:progress",
)  # fmt: skip
BACKUP_FIELDS = ("name", "is_incremental", "object_count", "container", "volume_id", "status", "description")


class VolumePollster(ServicePollster):
    """Every project's volumes."""

    meters = (VOLUME_SIZE,)
    service = "block-storage"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        return self.clouds.entries(place, "volumes/detail", "volumes", EVERYBODYS, VERSION)

    def counters(self, volume: dict[str, Any]) -> Iterator[Counter]:
        attachments = volume.get("attachments") or [{}]
        about = {
            **pick(volume, *VOLUME_FIELDS),
            "image_id": (volume.get("volume_image_metadata") or {}).get("image_id"),
            "instance_id": attachments[0].get("server_id"),
        }
        yield VOLUME_SIZE.read(
            number(volume["size"]),
            resource_id=volume["id"],
            project_id=volume["os-vol-tenant-attr:tenant_id"],
            user_id=volume.get("user_id"),
            resource_metadata=about,
        )


class SnapshotPollster(ServicePollster):
    """Every project's snapshots; the size is that of the volume."""

    meters = (SNAPSHOT_SIZE,)
    service = "block-storage"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        return self.clouds.entries(place, "snapshots/detail", "snapshots", EVERYBODYS, VERSION)

    def counters(self, snapshot: dict[str, Any]) -> Iterator[Counter]:
        yield SNAPSHOT_SIZE.read(
            number(snapshot["size"]),
            resource_id=snapshot["id"],
            project_id=snapshot["os-extended-snapshot-attributes:project_id"],
            user_id=snapshot.get("user_id"),
            resource_metadata=pick(snapshot, *SNAPSHOT_FIELDS),
        )


class BackupPollster(ServicePollster):
    """Every project's backups."""

    meters = (BACKUP_SIZE,)
    service = "block-storage"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        return self.clouds.entries(place, "backups/detail", "backups", EVERYBODYS, VERSION)

    def counters(self, backup: dict[str, Any]) -> Iterator[Counter]:
        yield BACKUP_SIZE.read(
            number(backup["size"]),
            resource_id=backup["id"],
            project_id=backup["os-backup-project-attr:project_id"],
            user_id=backup.get("user_id"),
            resource_metadata=pick(backup, *BACKUP_FIELDS),
        )
