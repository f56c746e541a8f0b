"""Images, of a real Glance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metering.counters import Counter, Kind
from pollsters.central.cloud import OpenStack
from pollsters.central.image import ImagePollster
from tests.openstack.lab import CloudLab
from tests.openstack.services import Answer, Asked
from tests.pollsters.central.asking import poll, read


@pytest.fixture
def images(cloud_lab: CloudLab) -> dict[str, str]:
    """One of every visibility, one without data, one hidden; the id of each."""
    red = cloud_lab.projects["red"]
    return {
        "public": cloud_lab.make_image("cirros", b"x" * 1024, visibility="public"),
        "private": cloud_lab.make_image("of red", b"x" * 10, visibility="private", owner=red),
        "community": cloud_lab.make_image("of all", b"x" * 20, visibility="community", owner=red, tags=["web"]),
        "queued": cloud_lab.make_image("not yet", None),
        "hidden": cloud_lab.make_image("old", b"x" * 30, visibility="public", os_hidden=True, protected=True),
    }


def about(counters: list[Counter], images: dict[str, str]) -> Iterator[tuple[str, str, float]]:
    names = {identity: name for name, identity in images.items()}
    return ((names[c.resource_id], c.name, c.volume) for c in counters if c.resource_id in names)


def test_every_image_of_everybody_is_read_once(clouds: OpenStack, cloud_lab: CloudLab, images: dict[str, str]) -> None:
    counters = read(clouds, ImagePollster)

    assert sorted(about(counters, images)) == [
        ("community", "image", 1),
        ("community", "image.size", 20),
        ("hidden", "image", 1),
        ("hidden", "image.size", 30),
        ("private", "image", 1),
        ("private", "image.size", 10),
        ("public", "image", 1),
        ("public", "image.size", 1024),
        ("queued", "image", 1),
    ]
    [size] = [c for c in counters if (c.resource_id, c.name) == (images["community"], "image.size")]
    assert (size.type, size.unit, size.project_id) == (Kind.GAUGE, "B", cloud_lab.projects["red"])
    assert set(size.resource_metadata) == {
        "status", "visibility", "name", "container_format", "created_at", "disk_format", "updated_at", "min_disk",
        "is_protected", "checksum", "min_ram", "tags", "virtual_size",
    }  # fmt: skip
    assert (size.resource_metadata["visibility"], size.resource_metadata["tags"]) == ("community", ["web"])
    [hidden] = [c for c in counters if (c.resource_id, c.name) == (images["hidden"], "image")]
    assert hidden.resource_metadata["is_protected"] is True


def test_images_beyond_the_first_page_are_read(clouds: OpenStack, images: dict[str, str]) -> None:
    [place] = clouds.places("image")

    found = list(clouds.entries(place, "v2/images", "images", {"visibility": "all", "limit": "2"}))

    listed = {image["id"] for image in found}
    assert set(images.values()) - {images["hidden"]} <= listed
    assert len(found) == len(listed)


def test_a_glance_that_knows_nothing_of_hidden_images_gives_each_once_too(
    clouds: OpenStack, cloud_lab: CloudLab
) -> None:
    def all_of_them(asked: Asked) -> Answer:
        return Answer({"images": [{"id": "i-1", "owner": "p", "size": 5, "visibility": "public", "status": "active"}]})

    cloud_lab.services.change("/glance/v2/images", all_of_them)
    cloud_lab.write_clouds(lab={"image_endpoint_override": f"{cloud_lab.services.url}/glance", "region_name": "north"})

    assert [(c.name, c.volume) for c in poll(clouds, ImagePollster).counters] == [("image", 1), ("image.size", 5)]
    assert len(cloud_lab.services.asked) == 2
