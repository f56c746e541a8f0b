"""What operators have typed for years, typed against this API: each command of the client that is still out there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from metering.counters import Kind
from metering.models import Sample
from tests import events
from tests.ceilometer_client import Ceilometer, Row
from tests.factories import at, reading, store, token
from tests.installation import installed, wait_for
from tests.live_api import LiveApi, live_api
from tests.stage import Stage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, stage: Stage) -> Iterator[LiveApi]:
    with live_api(tmp_path_factory.mktemp("api"), stage) as api:
        yield api


def client(api: LiveApi, project: str | None = None) -> Ceilometer:
    """The command with a token at hand: the way without Keystone. Without a project it is an admin's."""
    return Ceilometer("--os-token", token(project), "--os-endpoint", api.url)


def column(rows: list[Row], name: str) -> list[str]:
    return [row[name] for row in rows]


def test_meters_and_samples_are_listed(api: LiveApi) -> None:
    store(
        reading(1, 0),
        reading(2.5, 60, metadata={"flavor": {"name": "m1"}, "display_name": "web – ü"}),
        reading(7, 30, resource="db-1", project="blue", meter="vcpus", kind=Kind.GAUGE, unit="vcpu"),
    )
    admin, blue = client(api), client(api, "blue")

    meters = admin.rows("meter-list")
    assert sorted(column(meters, "Name")) == ["cpu", "vcpus"]
    assert blue.rows("meter-list", "--limit", "5") == [
        {
            "Name": "vcpus",
            "Type": "gauge",
            "Unit": "vcpu",
            "Resource ID": "db-1",
            "User ID": "ruth",
            "Project ID": "blue",
        }
    ]
    assert admin.rows("meter-list", "--unique", "True", "-q", "resource=web-1")[0]["Resource ID"] == "None"

    old = admin.rows("sample-list", "-m", "cpu", "-q", "resource_id=web-1;timestamp>2026-11-23T12:00:00", "-l", "5")
    assert old == [
        {
            "Resource ID": "web-1",
            "Name": "cpu",
            "Type": "cumulative",
            "Volume": "2.5",
            "Unit": "ns",
            "Timestamp": "2026-11-23T12:01:00",
        }
    ]
    new = admin.rows("sample-list", "-q", "meter=cpu")
    assert column(new, "Volume") == ["2.5", "1.0"]
    sample = admin.shown("sample-show", new[0]["ID"])
    assert (sample["meter"], sample["volume"], sample["project_id"]) == ("cpu", "2.5", "red")
    assert json.loads(sample["metadata"]) == {"display_name": "web – ü", "flavor.name": "m1"}
    assert "Sample not found" in blue.says("sample-show", new[0]["ID"], status=1)


def test_resources_are_listed_and_shown_whatever_their_ids(api: LiveApi) -> None:
    store(reading(), reading(resource="AUTH_1/box ü", project="blue", metadata={"a": {"b": 1}}))
    admin = client(api)

    resources = {row["Resource ID"]: row for row in admin.rows("resource-list")}
    assert resources["web-1"] == {
        "Resource ID": "web-1",
        "Source": "openstack",
        "User ID": "ruth",
        "Project ID": "red",
    }
    assert column(admin.rows("resource-list", "-q", "metadata.a.b=integer::1"), "Resource ID") == ["AUTH_1/box ü"]
    shown = admin.shown("resource-show", "AUTH_1/box ü")
    assert shown["project_id"] == "blue"
    assert json.loads(shown["metadata"]) == {"a.b": "1"}
    blue = client(api, "blue")
    assert "Authentication failed" in blue.says("resource-list", "-q", "project=red", status=1)  # as of any 401
    refused = blue.says("resource-list", "-q", "colour=red", status=1)
    assert "(HTTP 400)" in refused
    assert 'Unknown argument: "colour": unrecognized field in query' in refused


def test_statistics_are_printed_by_period_and_group_and_function(api: LiveApi) -> None:
    store(*(reading(number, 30 * number) for number in range(4)), reading(10, 150, resource="web-2"))
    admin = client(api)

    [row] = admin.rows("statistics", "-m", "cpu", "-q", "resource=web-1")
    assert {name: row[name] for name in ("Period", "Max", "Min", "Avg", "Sum", "Count", "Duration")} == {
        "Period": "0",
        "Max": "3.0",
        "Min": "0.0",
        "Avg": "1.5",
        "Sum": "6.0",
        "Count": "4",
        "Duration": "90.0",
    }
    rows = admin.rows("statistics", "-m", "cpu", "-p", "60", "-g", "resource_id", "-a", "max", "-a", "count")
    assert [(row["Period Start"], json.loads(row["Group By"].replace("'", '"')), row["Max"]) for row in rows] == [
        ("2026-11-23T12:00:00", {"resource_id": "web-1"}, "1.0"),
        ("2026-11-23T12:01:00", {"resource_id": "web-1"}, "3.0"),
        ("2026-11-23T12:02:00", {"resource_id": "web-2"}, "10.0"),
    ]
    [row] = admin.rows("statistics", "-m", "cpu", "-a", "cardinality<-resource_id", "-a", "stddev")
    assert (row["cardinality/resource_id"], row["Standard deviation"][:4]) == ("2.0", "3.54")


def test_events_their_types_and_their_traits_are_printed(api: LiveApi) -> None:
    events.store(events.event(1, size=10), events.event(2, 60, of="image.upload", started=at(5)))
    admin = client(api)

    assert column(admin.rows("event-type-list"), "Event Type") == ["image.upload", "volume.create.end"]
    assert column(admin.rows("event-list", "--no-traits"), "Message ID") == [events.ID.format(1), events.ID.format(2)]
    found = admin.says("event-list", "-q", "size>integer::5;event_type=volume.create.end")
    assert events.ID.format(1) in found
    assert events.ID.format(2) not in found
    assert admin.shown("event-show", events.ID.format(2))["event_type"] == "image.upload"
    traits = admin.rows("trait-description-list", "-e", "volume.create.end")
    assert {row["Trait Name"]: row["Data Type"] for row in traits}["size"] == "integer"
    [trait] = admin.rows("trait-list", "-e", "image.upload", "-t", "started")
    assert trait == {"Trait Name": "started", "Value": "2026-11-23T12:00:05", "Data Type": "datetime"}


def test_samples_are_created_found_by_a_complex_query_and_listed(api: LiveApi) -> None:
    blue = client(api, "blue")
    about = ("-r", "basket", "-m", "apples", "--meter-type", "gauge", "--meter-unit", "apple", "--sample-volume", "3.5")

    made = blue.shown("sample-create", *about, "--resource-metadata", '{"farm.name": "Hill"}', "--direct", "True")
    assert (made["resource_id"], made["name"], made["user_id"]) == ("basket", "apples", "user of blue")
    sample = {
        "counter_name": "pears",
        "counter_type": "gauge",
        "counter_unit": "pear",
        "counter_volume": 2,
        "resource_id": "basket",
    }
    listed = blue.rows("sample-create-list", json.dumps([sample, {**sample, "counter_volume": 4}]), "--direct", "1")
    assert column(listed, "Volume") == ["2.0", "4.0"]

    filter_ = '{"and": [{"=": {"project_id": "blue"}}, {">": {"counter_volume": 3}}]}'
    found = blue.rows("query-samples", "-f", filter_, "-o", '[{"counter_volume": "asc"}]', "-l", "5")
    assert sorted(column(found, "Volume")) == ["3.5", "4.0"]
    assert column(blue.rows("meter-list", "-q", "metadata.farm.name=Hill"), "Name") == ["apples"]
    refused = blue.says("sample-create", "--project-id", "red", *about, status=1)
    assert "can not post samples to other projects" in refused


def test_a_sample_that_is_created_goes_over_the_bus(tmp_path: Path, redis_url: str, database_url: str) -> None:
    apples = ("-m", "apples", "--meter-type", "gauge", "--meter-unit", "apple", "--sample-volume", "3")
    with installed(tmp_path, redis_url, database_url) as installation:
        installation.start("samples", "api")
        blue = Ceilometer("--os-token", token("blue"), "--os-endpoint", installation.url)
        made = blue.shown("sample-create", "-r", "basket", *apples)
        wait_for(Sample.objects.exists, "the sample in the ledger")
        [found] = blue.rows("sample-list")

    assert (made["volume"], found["ID"]) == ("3.0", made["message_id"])


def test_what_the_service_can_do_is_printed(api: LiveApi) -> None:
    told = client(api, "blue").says("capabilities")
    assert '"samples:query:complex": true' in told
    assert '"storage:production_ready": true' in told
