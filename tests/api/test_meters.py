from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from metering.counters import Kind
from tests.api import asking
from tests.factories import at, reading, store

pytestmark = pytest.mark.django_db


def test_a_meter_is_shown_as_clients_know_it() -> None:
    store(reading())
    assert asking.admin().ask("/v2/meters") == [
        {
            "name": "cpu",
            "type": "cumulative",
            "unit": "ns",
            "resource_id": "web-1",
            "project_id": "red",
            "user_id": "ruth",
            "source": "openstack",
            "meter_id": base64.b64encode(b"web-1+cpu").decode(),
        }
    ]


def test_there_is_a_row_for_each_meter_type_unit_and_resource() -> None:
    store(
        reading(),
        reading(seconds=60),
        reading(unit="s"),
        reading(kind=Kind.GAUGE),
        reading(meter="vcpus"),
        reading(resource="web-2"),
    )
    store(reading(), source="red:openstack")
    rows = asking.admin().ask("/v2/meters")
    assert len({tuple(row.values()) for row in rows}) == len(rows) == 5


def test_a_meter_belongs_to_whoever_owned_its_latest_sample_also_when_ownership_came_back() -> None:
    store(reading(1, 0, user="ruth"))
    store(reading(2, 60, user="sam"))
    assert [row["user_id"] for row in asking.admin().ask("/v2/meters")] == ["sam"]
    store(reading(3, 120, user="ruth"))
    assert [row["user_id"] for row in asking.admin().ask("/v2/meters")] == ["ruth"]
    assert [row["user_id"] for row in asking.admin().ask("/v2/meters", ("user", "sam"))] == ["sam"]


def test_unique_shows_each_meter_once_and_no_owner() -> None:
    store(reading(), reading(resource="web-2"), reading(resource="web-3", project="blue"))
    [row] = asking.admin().ask("/v2/meters", unique=True)
    assert row == {
        "name": "cpu",
        "type": "cumulative",
        "unit": "ns",
        "resource_id": None,
        "project_id": None,
        "user_id": None,
        "source": None,
        "meter_id": base64.b64encode(b"None+cpu").decode(),
    }
    assert asking.admin().ask("/v2/meters", ("unique", "True")) == [row]
    assert len(asking.admin().ask("/v2/meters", unique=False)) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user", "sam"),
        ("user_id", "sam"),
        ("project", "blue"),
        ("project_id", "blue"),
        ("resource", "web-2"),
        ("resource_id", "web-2"),
        ("source", "other"),
        ("metadata.tag", "late"),
        ("resource_metadata.tag", "late"),
    ],
)
def test_meters_are_found_by(field: str, value: str) -> None:
    store(reading(1, metadata={"tag": "early"}))
    store(reading(2, resource="web-2", user="sam", project="blue", metadata={"tag": "late"}), source="other")
    assert [row["resource_id"] for row in asking.admin().ask("/v2/meters", (field, value))] == ["web-2"]


def test_the_metadata_of_a_meter_is_that_of_its_latest_sample() -> None:
    store(reading(1, 0, metadata={"tag": "early"}), reading(2, 60, metadata={"tag": "late"}))
    assert asking.admin().ask("/v2/meters", ("metadata.tag", "early")) == []
    assert len(asking.admin().ask("/v2/meters", ("metadata.tag", "late"))) == 1


def test_meters_have_no_time() -> None:
    for field in ("timestamp", "search_offset"):
        answer = asking.admin().refusal("/v2/meters", (field, "2026-11-23", "ge"))
        assert answer == (400, f'Unknown argument: "{field}": not valid for this resource')


def test_an_unknown_field_of_meters_is_refused_with_those_that_are_known() -> None:
    assert asking.admin().refusal("/v2/meters", ("meter", "cpu")) == (
        400,
        "Unknown argument: \"meter\": unrecognized field in query: [<Query 'meter' eq 'cpu' None>], "
        "valid keys: ['project', 'resource', 'source', 'unique', 'user']",
    )


@pytest.mark.parametrize("name", ["meter.accent\u00e9\u0437", "instance:m1.tiny", "a b?c#d%e&f", "statistics", "."])
def test_a_meters_name_may_hold_anything_but_a_slash(name: str) -> None:
    store(reading(5, meter=name), reading(meter="other"))
    address = f"/v2/meters/{quote(name, safe='')}"
    [sample] = asking.admin().ask(address)
    assert (sample["counter_name"], sample["counter_volume"]) == (name, 5.0)
    [figures] = asking.admin().ask(f"{address}/statistics")
    assert figures["sum"] == 5.0


def test_an_unknown_meter_has_no_samples_and_no_statistics() -> None:
    assert asking.admin().ask("/v2/meters/nothing") == []
    assert asking.admin().ask("/v2/meters/nothing/statistics") == []
    assert asking.admin().refusal("/v2/meters/no%00thing") == (404, "Nothing has a NUL in its name")


def test_the_samples_of_a_meter_have_their_old_names() -> None:
    store(reading(1.5, 0.25, metadata={"cpu_number": 2, "server": {"flavor": {"name": "m1.tiny"}}}))
    [sample] = asking.admin().ask("/v2/meters/cpu/")
    assert sample.pop("recorded_at") > "2026"
    assert len(sample.pop("message_id")) == 36
    assert sample == {
        "source": "openstack",
        "counter_name": "cpu",
        "counter_type": "cumulative",
        "counter_unit": "ns",
        "counter_volume": 1.5,
        "user_id": "ruth",
        "project_id": "red",
        "resource_id": "web-1",
        "timestamp": "2026-11-23T12:00:00.250000",
        "resource_metadata": {"cpu_number": "2", "server.flavor:name": "m1.tiny"},
    }


def test_the_meter_of_the_address_holds_against_one_in_the_query() -> None:
    store(reading(1), reading(2, meter="vcpus"))
    [sample] = asking.admin().ask("/v2/meters/cpu", ("meter", "vcpus"))
    assert sample["counter_name"] == "cpu"


def test_samples_of_a_meter_come_newest_first_and_a_hundred_at_most_unless_more_are_asked_for() -> None:
    store(*(reading(number, number) for number in range(120)))
    assert [row["counter_volume"] for row in asking.admin().ask("/v2/meters/cpu")] == list(range(119, 19, -1))
    assert len(asking.admin().ask("/v2/meters/cpu", limit=1000)) == 120
    assert len(asking.admin().ask("/v2/meters/cpu", limit=10**30)) == 120
    [newest] = asking.admin().ask("/v2/meters/cpu", limit=1)
    assert newest["timestamp"] == at(119).replace(tzinfo=None).isoformat()
