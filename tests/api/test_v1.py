"""The API of old: its addresses and filters, about the rows of today."""

from __future__ import annotations

from typing import Any

import pytest

from metering.counters import Kind
from tests.api import asking
from tests.factories import reading, store

pytestmark = pytest.mark.django_db

CPU = {
    "name": "cpu",
    "type": "cumulative",
    "unit": "ns",
    "resource_id": "web-1",
    "project_id": "red",
    "user_id": "ruth",
    "source": "openstack",
}


@pytest.fixture(autouse=True)
def _ledger() -> None:
    store(
        reading(1, 0, metadata={"tag": {"a": "x"}, "n": 5}),
        reading(4, 60),
        reading(2, 120, user="sam", resource="web-2", project="blue", metadata={"n": "5"}),
    )
    store(reading(7, 180, resource="vol-1", meter="volume", kind=Kind.GAUGE, unit="GiB", user=None), source="other")


def ask(path: str, project: str | None = None, **params: Any) -> Any:
    asker = asking.admin() if project is None else asking.of(project)
    return asker.ask(f"/v1/{path}", **params)


def test_a_resource_has_all_that_is_known_of_it() -> None:
    assert ask("projects/blue/resources") == {
        "resources": [
            {
                "resource_id": "web-2",
                "project_id": "blue",
                "user_id": "sam",
                "source": "openstack",
                "timestamp": "2026-11-23T12:02:00",
                "first_sample_timestamp": "2026-11-23T12:02:00",
                "last_sample_timestamp": "2026-11-23T12:02:00",
                "metadata": {"n": "5"},
                "meter": [{"counter_name": "cpu", "counter_type": "cumulative", "counter_unit": "ns"}],
            }
        ]
    }


@pytest.mark.parametrize(
    ("path", "params", "found"),
    [
        ("resources", {}, ["vol-1", "web-1", "web-2"]),
        ("users/ruth/resources", {}, ["web-1"]),
        ("sources/other/resources", {}, ["vol-1"]),
        ("resources", {"start_timestamp": "2026-11-23T12:02:00"}, ["vol-1", "web-2"]),
        ("resources", {"end_timestamp": "2026-11-23T12:02:00"}, ["web-1"]),
        ("resources", {"end_timestamp": "2026-11-23T12:02:00", "search_offset": "1"}, ["web-1", "web-2"]),
        ("resources", {"metadata.n": "5"}, ["web-2"]),  # as text
        ("resources", {"metadata.tag.a": "x", "end_timestamp": "2026-11-23T12:00:30"}, ["web-1"]),
        ("resources", {"limit": "1"}, ["web-1"]),
    ],
)
def test_resources_are_found(path: str, params: dict[str, str], found: list[str]) -> None:
    assert sorted(row["resource_id"] for row in ask(path, **params)["resources"]) == found


def test_meters_are_listed_of_everything_and_of_one() -> None:
    assert len(ask("meters")["meters"]) == 3
    for path in ("resources/web-1", "projects/red", "users/ruth", "sources/openstack"):
        assert CPU in ask(f"{path}/meters")["meters"], path
        assert CPU in ask(f"{path}/meters/")["meters"], path
    assert [row["name"] for row in ask("sources/other/meters")["meters"]] == ["volume"]
    assert ask("resources/none/meters") == {"meters": []}


@pytest.mark.parametrize(
    ("path", "params", "volumes"),
    [
        ("resources/web-1", {}, [4, 1]),
        ("projects/red", {}, [4, 1]),
        ("users/sam", {}, [2]),
        ("sources/openstack", {}, [2, 4, 1]),
        ("sources/openstack", {"start_timestamp": "2026-11-23T12:01:00"}, [2, 4]),
        ("sources/openstack", {"end_timestamp": "2026-11-23T12:01:00"}, [1]),
        ("sources/openstack", {"metadata.n": "5"}, [2]),
        ("sources/openstack", {"limit": "2"}, [2, 4]),
        ("sources/none", {}, []),
    ],
)
def test_samples_are_called_events(path: str, params: dict[str, str], volumes: list[float]) -> None:
    rows = ask(f"{path}/meters/cpu", **params)["events"]
    assert [row["counter_volume"] for row in rows] == volumes
    assert all(row["counter_name"] == "cpu" and row["message_id"] for row in rows)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ("2026-11-23T12:00:00", "2026-11-23T12:01:00", 60.0)),
        ({"start_timestamp": "2026-11-23T12:00:30"}, ("2026-11-23T12:01:00", "2026-11-23T12:01:00", 0.0)),
        (
            {
                "start_timestamp": "2026-11-23T12:00:30",
                "end_timestamp": "2026-11-23T12:00:45",
                "search_offset": "1",
            },
            ("2026-11-23T12:00:30", "2026-11-23T12:00:45", 15.0),
        ),
        ({"start_timestamp": "2026-11-23T12:01:30", "search_offset": "1"}, (None, None, None)),
        ({"end_timestamp": "2026-11-23T12:00:00"}, (None, None, None)),
    ],
)
def test_a_duration_is_pulled_into_the_span_asked_for(params: dict[str, str], expected: tuple[Any, ...]) -> None:
    shown = ask("resources/web-1/meters/cpu/duration", **params)
    assert tuple(shown[name] for name in ("start_timestamp", "end_timestamp", "duration")) == expected


def test_volumes_are_added_up() -> None:
    for path, function, volume in (
        ("resources/web-1/meters/cpu", "max", 4),
        ("resources/web-1/meters/cpu", "sum", 5),
        ("projects/red/meters/cpu", "max", 4),
        ("projects/blue/meters/cpu", "sum", 2),
        ("projects/blue/meters/none", "sum", None),
        ("resources/none/meters/cpu", "max", None),
    ):
        assert ask(f"{path}/volume/{function}") == {"volume": volume}
    assert ask("resources/web-1/meters/cpu/volume/sum", end_timestamp="2026-11-23T12:01:00") == {"volume": 1}


def test_a_volume_that_no_number_holds_is_refused() -> None:
    store(*(reading(1e308, second, resource="big") for second in range(3)))
    assert asking.admin().refusal("/v1/resources/big/meters/cpu/volume/sum")[0] == 400


def test_owners_are_listed() -> None:
    assert ask("users") == {"users": ["ruth", "sam"]}
    assert ask("projects") == {"projects": ["blue", "red"]}
    assert ask("sources/openstack/users") == {"users": ["ruth", "sam"]}
    assert ask("sources/other/projects") == {"projects": ["red"]}
    assert ask("sources/other/users") == {"users": []}
    assert ask("sources/other") == {}


def test_anybody_but_an_admin_sees_his_own_project_and_himself() -> None:
    store(reading(9, 240, user="user of blue", project="blue", resource="web-3"))
    assert ask("users", "blue") == {"users": ["user of blue"]}
    assert ask("projects", "blue") == {"projects": ["blue"]}
    assert {row["project_id"] for row in ask("resources", "blue")["resources"]} == {"blue"}
    assert ask("users/ruth/meters", "blue") == {"meters": []}
    assert ask("resources/web-1/meters/cpu", "blue") == {"events": []}
    for path in ("resources", "meters", "meters/cpu", "meters/cpu/volume/sum"):
        assert asking.of("blue").refusal(f"/v1/projects/red/{path}") == (404, "Project red Not Found")


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"start_timestamp": "x"}, "Invalid input for field/attribute timestamp. Value: 'x'."),
        ({"search_offset": "x"}, "Invalid input for field/attribute search_offset. Value: 'x'."),
        (
            {"start_timestamp": "2026-11-23", "search_offset": "9" * 12},
            "Invalid input for field/attribute search_offset.",
        ),
        ({"search_offset": "9" * 20}, "Invalid input for field/attribute search_offset."),
        ({"metadata" + ".x" * 40: "1"}, "Invalid input for field/attribute field."),
        ({"metadata.x": ["1", "2"]}, "Invalid input for field/attribute metadata.x."),
        ({"limit": "0"}, "Limit must be positive"),
        ({"limit": "10001"}, "An answer holds 10000 rows at most"),
        ({"wrong": "1"}, 'Unknown argument: "wrong"'),
    ],
)
def test_a_wrong_parameter_is_refused(params: dict[str, Any], text: str) -> None:
    status, said = asking.admin().refusal("/v1/resources/web-1/meters/cpu", **params)
    assert (status, said[: len(text)]) == (400, text)


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v1/nothing", "/v1/projects/red", "/v1/resources/web-1/meters/cpu/volume"]
)
def test_other_addresses_are_not_found(path: str) -> None:
    assert asking.admin().refusal(path)[0] == 404


def test_more_than_an_answer_holds_is_refused_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.v1_query.MOST_ROWS", 1)
    monkeypatch.setattr("api.views.v1.MOST_ROWS", 1)
    for path in ("resources", "meters", "sources/openstack/meters/cpu", "users"):
        assert asking.admin().refusal(f"/v1/{path}")[0] == 400, path
        assert ask(path, limit=1)
