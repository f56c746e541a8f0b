"""Images and their sizes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from metering.counters import Counter, Kind, Meter
from pollsters.central.service import ServicePollster, number, pick
from pollsters.runner import Place

IMAGE = Meter("image", Kind.GAUGE, "image")
IMAGE_SIZE = Meter("image.size", Kind.GAUGE, "B")
FIELDS = (
    "status", "visibility", "name", "container_format", "created_at", "disk_format", "updated_at", "min_disk",
    "checksum", "min_ram", "tags", "virtual_size",
)  # fmt: skip


class ImagePollster(ServicePollster):
    """Every image once, hidden ones too: they take up room as the others do.

    One that has no data yet has no size.
    """

    meters = (IMAGE, IMAGE_SIZE)
    service = "image"

    def entries(self, place: Place) -> Iterator[dict[str, Any]]:
        # Glance lists either hidden images or the others; one that does not know the word lists all, twice.
        seen: set[str] = set()
        for image in chain.from_iterable(self._list(place, hidden) for hidden in ("false", "true")):
            if image["id"] not in seen:
                seen.add(image["id"])
                yield image

    def _list(self, place: Place, hidden: str) -> Iterator[dict[str, Any]]:
        query = {"visibility": "all", "os_hidden": hidden, "limit": "1000"}
        return self.clouds.entries(place, "v2/images", "images", query)

    def counters(self, image: dict[str, Any]) -> Iterator[Counter]:
        metadata = {**pick(image, *FIELDS), "is_protected": image.get("protected")}
        about: dict[str, Any] = {
            "resource_id": image["id"],
            "project_id": image.get("owner"),
            "resource_metadata": metadata,
        }
        yield IMAGE.read(1, **about)
        if image.get("size") is not None:
            yield IMAGE_SIZE.read(number(image["size"]), **about)
