from __future__ import annotations

from typing import Any

import pytest

from pollsters.central.endpoints import address, join
from pollsters.central.paging import by_link, by_name, by_offset


@pytest.mark.parametrize(
    ("endpoint", "path", "url"),
    [
        ("http://glance:9292", "v2/images", "http://glance:9292/v2/images"),
        ("http://glance:9292/v2/", "v2/images", "http://glance:9292/v2/images"),
        ("https://api.example/network/", "v2.0/floatingips", "https://api.example/network/v2.0/floatingips"),
        ("http://neutron:9696/v2.0", "v2.0/floatingips", "http://neutron:9696/v2.0/floatingips"),
        ("http://cinder/v3/p-1", "volumes/detail", "http://cinder/v3/p-1/volumes/detail"),
        ("http://swift/v1/AUTH_p-1", "", "http://swift/v1/AUTH_p-1"),
    ],
)
def test_a_path_is_joined_to_an_endpoint_with_or_without_a_version(endpoint: str, path: str, url: str) -> None:
    assert join(endpoint, path) == url


def service(kind: str, *points: tuple[str, str, str]) -> dict[str, Any]:
    names = ("interface", "region_id", "url")
    return {"type": kind, "endpoints": [dict(zip(names, point, strict=True)) for point in points]}


def test_a_service_is_found_by_its_present_name_first_and_by_interface_and_region() -> None:
    catalogue = [
        service("volumev2", ("public", "north", "http://old")),
        service("volumev3", ("public", "north", "http://v3"), ("internal", "south", "http://inside")),
        service("image", ("publicURL", "north", "http://image")),
    ]

    assert address(catalogue, "block-storage", "north", None) == "http://v3"
    assert address(catalogue, "block-storage", "south", "public") is None
    assert address(catalogue, "block-storage", "south", ["public", "internal"]) == "http://inside"
    assert address(catalogue, "image", "north", "public") == "http://image"
    assert address(catalogue, "dns", "north", "public") is None


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ({"images": [], "next": "/v2/images?marker=7&limit=2"}, {"marker": "7", "limit": "2"}),
        ({"volumes_links": [{"rel": "next", "href": "http://x/volumes?marker=7"}]}, {"marker": "7"}),
        ({"links": {"self": "/zones", "next": "https://x/zones?marker=a%20b"}}, {"marker": "a b"}),
        ({"floatingips_links": [{"rel": "previous", "href": "http://x?marker=7"}]}, None),
        ({"links": {"next": None}}, None),
        ({"links": "none", "next": 7, "x_links": [3]}, None),
        ([], None),
    ],
)
def test_a_listing_goes_on_with_the_query_of_its_link(body: Any, query: dict[str, str] | None) -> None:
    assert by_link(body, [], {}) == query


def test_a_listing_without_links_goes_on_after_its_last_name_or_after_so_many() -> None:
    assert by_name(None, [{"name": "a"}, {"name": "b"}], {"format": "json"}) == {"format": "json", "marker": "b"}
    assert by_name(None, [], {}) is None
    assert by_offset(None, [1, 2], {"offset": "5"}) == {"offset": "7"}
    assert by_offset(None, [], {"offset": "7"}) is None
