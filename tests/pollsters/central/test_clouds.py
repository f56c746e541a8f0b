"""Clouds, their regions and their Keystones."""

from __future__ import annotations

import time
from typing import Any

import pytest

from metering.environment import load
from metering.errors import BadSetting, ServiceFailed
from pollsters.central import service
from pollsters.central.cloud import OpenStack, fault_of
from pollsters.central.dns import ZonePollster
from pollsters.central.floating_ip import FloatingIPPollster
from pollsters.central.object_storage import AccountPollster
from pollsters.runner import Place
from tests.openstack.lab import CloudLab
from tests.openstack.services import Answer
from tests.pollsters.central.asking import VALUES, poll, seconds_since


def test_without_a_region_in_clouds_yaml_every_region_of_the_catalogue_is_a_place(clouds: OpenStack) -> None:
    assert list(clouds.places("dns")) == [Place("dns", "north", None, "lab"), Place("dns", "south", None, "lab")]
    assert list(clouds.places("block-storage")) == [Place("block-storage", "north", None, "lab")]
    assert list(clouds.places("baremetal")) == []


def test_only_the_regions_that_clouds_yaml_names_are_places(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    cloud_lab.write_clouds(lab={"region_name": "south"}, both={"regions": ["south", "north"]})

    both = OpenStack(("lab", "both"), 10)

    assert [(place.region, place.cloud) for place in both.places("dns")] == [
        ("south", "lab"),
        ("south", "both"),
        ("north", "both"),
    ]


def test_an_endpoint_in_clouds_yaml_wins(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    cloud_lab.write_clouds(lab={"dns_endpoint_override": f"{cloud_lab.services.url}/dns-south"})

    assert poll(clouds, ZonePollster).counters == []
    assert set(cloud_lab.services.paths()) == {"/dns-south/v2/zones"}


def test_all_pollsters_share_one_token_and_one_list_of_projects(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    asked: list[str] = []
    requests = clouds._clouds["lab"].session.session

    def note(response: Any, **_: Any) -> None:
        asked.append(f"{response.request.method} {response.request.path_url.partition('?')[0]}")

    requests.hooks["response"].append(note)

    poll(clouds, ZonePollster, FloatingIPPollster, AccountPollster)
    poll(clouds, AccountPollster)

    assert asked.count("POST /v3/auth/tokens") == 1
    assert asked.count("GET /v3/projects") == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"auth": {"password": "wrong"}}, "no token: "),
        ({"auth": {"auth_url": "http://127.0.0.1:1/v3"}}, "its catalogue: "),
    ],
)
def test_a_cloud_without_a_token_costs_only_itself_and_is_counted_once_a_pollster(
    clouds: OpenStack, cloud_lab: CloudLab, fault: dict[str, Any], said: str
) -> None:
    cloud_lab.write_clouds(lab={}, broken=fault)
    both = OpenStack(("broken", "lab"), 10)

    done = poll(both, FloatingIPPollster, AccountPollster)

    assert done.errors == {"FloatingIPPollster": 1, "AccountPollster": 1}
    assert {counter.name for counter in done.counters} == {
        "ip.floating",
        "storage.objects",
        "storage.objects.size",
        "storage.objects.containers",
    }
    [nowhere] = [place for place in both.places("network") if place.region is None]
    with pytest.raises(ServiceFailed) as failed:
        both.endpoint(nowhere)
    assert said in str(failed.value)


@pytest.mark.parametrize(
    "answer",
    [
        Answer("<html>Oops</html>", 500, kind="text/html"),
        Answer("<html>Log in</html>", kind="text/html"),
        Answer([]),
        Answer({"token": None}, 201),
        Answer(slow="head"),
        Answer(slow="body"),
    ],
)
def test_a_keystone_that_answers_wrongly_costs_only_its_cloud_and_little_time(
    clouds: OpenStack, cloud_lab: CloudLab, answer: Answer
) -> None:
    cloud_lab.services.change("/keystone/*", answer)
    cloud_lab.write_clouds(lab={}, broken={"auth": {"auth_url": f"{cloud_lab.services.url}/keystone/v3"}})
    both = OpenStack(("lab", "broken"), 10)
    both.projects("lab")
    both.limits.seconds = 1
    start = time.monotonic()

    done = poll(both, FloatingIPPollster, AccountPollster)

    assert seconds_since(start) < 8
    assert done.errors == {"FloatingIPPollster": 1, "AccountPollster": 1}
    assert len(done.counters) == 2 + 3 * len(cloud_lab.projects)


def test_a_cloud_whose_projects_may_not_be_listed_costs_only_what_is_asked_by_project(
    clouds: OpenStack, cloud_lab: CloudLab
) -> None:
    cloud_lab.services.change("/identity/*", Answer({"error": "no"}, 403))
    clouds._clouds["lab"].limits.away_seconds = 0
    identity = f"{cloud_lab.services.url}/identity"
    for entry in clouds._clouds["lab"].access().service_catalog.catalog:
        if entry["type"] == "identity":
            for point in entry["endpoints"]:
                point["url"] = identity

    done = poll(clouds, FloatingIPPollster, AccountPollster)

    assert (len(done.counters), done.errors) == (2, {"AccountPollster": 1})


def test_without_a_cloud_the_pollsters_are_off_and_say_why() -> None:
    off = FloatingIPPollster({**VALUES, "METERING_CLOUDS": ""})

    assert off.enabled(load({})) == "METERING_CLOUDS is not set: no cloud is polled"


def test_a_cloud_that_clouds_yaml_does_not_have_is_said_by_name_at_the_start(
    clouds: OpenStack, cloud_lab: CloudLab
) -> None:
    missing = FloatingIPPollster({**VALUES, "METERING_CLOUDS": "lab, moon"})
    said = f"METERING_CLOUDS names 'moon', and {cloud_lab.clouds_yaml} has lab"

    assert missing.enabled(load({})) == said
    with pytest.raises(BadSetting, match="names 'moon'"):
        service.check({"METERING_CLOUDS": "moon"})
    service.check({"METERING_CLOUDS": "lab"})
    service.check({})


def test_only_a_process_that_polls_must_have_clouds_yaml(clouds: OpenStack) -> None:
    elsewhere = FloatingIPPollster({**VALUES, "METERING_CLOUDS": "moon"})
    beat = load({"METERING_ROLE": "beat", "METERING_BROKER_URL": "redis://localhost"})

    assert elsewhere.enabled(beat) is None


def test_a_clouds_yaml_that_cannot_be_used_is_said_in_one_line(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    cloud_lab.clouds_yaml.write_text("clouds: {lab: [")
    assert str(fault_of(["lab"])).startswith("METERING_CLOUDS names 'lab', and no clouds.yaml can be read")

    cloud_lab.write_clouds(lab={"auth_type": "of another world"})
    assert "clouds.yaml cannot be used" in str(fault_of(["lab"]))


@pytest.mark.parametrize("got", ["", "soon", "0", "-1", "301", "nan", "inf"])
def test_a_time_out_that_is_none_is_refused_by_name(got: str) -> None:
    with pytest.raises(BadSetting, match="METERING_CLOUD_TIMEOUT must be seconds from 1 to 300"):
        FloatingIPPollster({**VALUES, "METERING_CLOUD_TIMEOUT": got})
