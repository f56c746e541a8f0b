from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.api import asking
from tests.factories import at, reading, store

pytestmark = pytest.mark.django_db

BASE = "http://testserver"


def iso(seconds: float) -> str:
    return at(seconds).isoformat()


def naive(seconds: float) -> str:
    return iso(seconds).removesuffix("+00:00")


def test_a_resource_is_shown_as_clients_know_it() -> None:
    store(reading(1, 0, metadata={"name": "old"}), reading(2, 60, metadata={"name": "new"}))
    store(reading(1, 30, meter="vcpus", unit="vcpu"))
    expected = {
        "resource_id": "web-1",
        "project_id": "red",
        "user_id": "ruth",
        "source": "openstack",
        "first_sample_timestamp": "2026-11-23T12:00:00",
        "last_sample_timestamp": "2026-11-23T12:01:00",
        "metadata": {"name": "new"},
        "links": [
            {"rel": "self", "href": f"{BASE}/v2/resources/web-1"},
            {"rel": "cpu", "href": f"{BASE}/v2/meters/cpu?q.field=resource_id&q.value=web-1"},
            {"rel": "vcpus", "href": f"{BASE}/v2/meters/vcpus?q.field=resource_id&q.value=web-1"},
        ],
    }
    assert asking.admin().ask("/v2/resources") == [expected]
    assert asking.admin().ask("/v2/resources/web-1") == expected


def test_the_links_to_meters_can_be_left_out_of_a_listing() -> None:
    store(reading())
    [resource] = asking.admin().ask("/v2/resources", meter_links=0)
    assert [link["rel"] for link in resource["links"]] == ["self"]
    [resource] = asking.admin().ask("/v2/resources", meter_links=1)
    assert [link["rel"] for link in resource["links"]] == ["self", "cpu"]


def test_links_lead_back_through_a_proxys_prefix() -> None:
    store(reading())
    asker = asking.admin()
    response = asker.client.get("/v2/resources", headers=asker.headers, SCRIPT_NAME="/telemetry")
    assert response.json()[0]["links"][0]["href"] == f"{BASE}/telemetry/v2/resources/web-1"


@pytest.mark.parametrize(
    "name", ["glance/images/1", "a/b/", "/etc", "container//object", "é/ü?#%20", "line\nbreak", "100%", "a+b&c=d"]
)
def test_a_resource_with_any_characters_is_found_where_its_link_says(name: str) -> None:
    store(reading(3, resource=name))
    asker = asking.admin()
    [listed] = asker.ask("/v2/resources")
    links = {link["rel"]: link["href"].removeprefix(BASE) for link in listed["links"]}
    assert asker.ask(links["self"])["resource_id"] == name
    assert asker.client.get(links["cpu"], headers=asker.headers).json()[0]["resource_id"] == name
    assert asker.ask(f"/v2/resources/{quote(name)}/")["resource_id"] == name


def test_a_resource_that_is_not_there_is_not_found() -> None:
    assert asking.admin().refusal("/v2/resources/nothing") == (404, "Resource nothing Not Found")
    assert asking.admin().refusal("/v2/resources/no%00thing")[0] == 404


def test_a_window_selects_resources_with_samples_in_it_and_shows_them_as_they_were_then() -> None:
    store(
        reading(1, 0, metadata={"size": "small"}, user="ruth"),
        reading(1, 60, metadata={"size": "medium"}, user="sam"),
        reading(1, 120, metadata={"size": "large"}, user="sam"),
        reading(1, 60, resource="web-2", user="sam"),
        reading(1, 200, resource="web-3"),
        reading(1, 200, meter="vcpus"),
    )
    window = [("timestamp", iso(0), "ge"), ("timestamp", iso(120), "lt")]
    one, two = asking.admin().ask("/v2/resources", *window)
    assert one["resource_id"] == "web-1"
    assert one["user_id"] == "sam"
    assert one["metadata"] == {"size": "medium"}
    assert one["first_sample_timestamp"] == "2026-11-23T12:00:00"
    assert one["last_sample_timestamp"] == "2026-11-23T12:01:00"
    assert [link["rel"] for link in one["links"]] == ["self", "cpu", "vcpus"]
    assert two["resource_id"] == "web-2"
    [one] = asking.admin().ask("/v2/resources", *window, ("user", "ruth"))
    assert (one["user_id"], one["last_sample_timestamp"]) == ("ruth", "2026-11-23T12:00:00")


@pytest.mark.parametrize(
    ("operator", "seconds", "found"),
    [
        ("ge", 60, ["web-60", "web-120"]),
        ("gt", 60, ["web-120"]),
        ("le", 60, ["web-0", "web-60"]),
        ("lt", 60, ["web-0"]),
        ("ge", 121, []),
    ],
)
def test_each_time_operator_has_its_edge(operator: str, seconds: int, found: list[str]) -> None:
    for second in (0, 60, 120):
        store(reading(1, second, resource=f"web-{second}"))
    rows = asking.admin().ask("/v2/resources", ("timestamp", iso(seconds), operator))
    assert [row["resource_id"] for row in rows] == found


@pytest.mark.parametrize(
    ("field", "value"),
    [("user", "sam"), ("project_id", "blue"), ("resource", "web-2"), ("source", "other"), ("metadata.tag", "x")],
)
@pytest.mark.parametrize("window", [[], [("timestamp", "2026-11-23", "ge")]])
def test_resources_are_found_by(field: str, value: str, window: list[tuple[str, ...]]) -> None:
    store(reading(1))
    store(reading(2, resource="web-2", user="sam", project="blue", metadata={"tag": "x"}), source="other")
    rows = asking.admin().ask("/v2/resources", (field, value), *window)
    assert [row["resource_id"] for row in rows] == ["web-2"]


@pytest.mark.parametrize("window", [[], [("timestamp", "2026-11-23", "ge")]])
def test_a_resource_has_the_metadata_of_each_of_its_meters(window: list[tuple[str, ...]]) -> None:
    store(reading(1, 0, metadata={"cpu_number": 2}), reading(1, 60, meter="memory", metadata={"name": "web"}))
    for field, value in (("metadata.cpu_number", "2"), ("metadata.name", "web")):
        assert len(asking.admin().ask("/v2/resources", (field, value), *window)) == 1
    assert asking.admin().ask("/v2/resources", ("metadata.cpu_number", "3"), *window) == []


@pytest.mark.parametrize("window", [[], [("timestamp", "2026-11-23", "ge")]])
def test_a_resource_of_several_sources_is_one_as_it_was_last_heard_of(window: list[tuple[str, ...]]) -> None:
    store(reading(1, 60))
    store(reading(1, 0, meter="posted", project="blue", metadata={"tag": "x"}), source="blue:openstack")
    store(reading(1, 30, resource="web-2"))
    admin = asking.admin()

    both, other = admin.ask("/v2/resources", *window)
    assert (both["resource_id"], both["source"], both["project_id"]) == ("web-1", "openstack", "red")
    assert (both["first_sample_timestamp"], both["last_sample_timestamp"]) == (naive(0), naive(60))
    assert [link["rel"] for link in both["links"]] == ["self", "cpu", "posted"]
    assert other["resource_id"] == "web-2"
    assert admin.ask("/v2/resources", *window, limit=1) == [both]
    if not window:
        assert admin.ask("/v2/resources/web-1") == both

    [posted] = admin.ask("/v2/resources", ("source", "blue:openstack"), *window)
    assert [link["rel"] for link in posted["links"]] == ["self", "posted"]
    assert [posted] == admin.ask("/v2/resources", ("metadata.tag", "x"), ("source", "blue:openstack"), *window)
    [own] = asking.of("blue").ask("/v2/resources", *window)
    assert (own["source"], own["first_sample_timestamp"], own["last_sample_timestamp"]) == (
        "blue:openstack",
        naive(0),
        naive(0),
    )


@pytest.mark.parametrize("window", [[], [("timestamp", "2026-11-23", "ge")]])
def test_what_was_said_of_a_resource_under_another_owner_is_nothing_to_its_owner_now(
    window: list[tuple[str, ...]],
) -> None:
    store(reading(1, 0, project="blue", metadata={"secret": "s1"}))
    store(reading(1, 60, project="red", metadata={"tag": "x"}))
    asker = asking.of("red")

    assert asker.ask("/v2/resources", ("metadata.secret", "s1"), *window) == []
    assert len(asker.ask("/v2/resources", ("metadata.tag", "x"), *window)) == 1


def test_of_nobody_is_an_owner_too() -> None:
    store(reading(1, 0, project=None, user=None, metadata={"tag": "x"}))
    assert len(asking.admin().ask("/v2/resources", ("metadata.tag", "x"))) == 1


@pytest.mark.parametrize("window", [[], [("timestamp", "2026-11-23", "ge")]])
def test_a_limit_bounds_resources(window: list[tuple[str, ...]]) -> None:
    store(*(reading(1, number, resource=f"web-{number:03}") for number in range(101)))
    asker = asking.admin()
    assert len(asker.ask("/v2/resources", *window)) == 100
    assert [row["resource_id"] for row in asker.ask("/v2/resources", *window, limit=2)] == ["web-000", "web-001"]
