"""What a service or a Keystone may do wrong: each fault costs only itself."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from metering.errors import ServiceFailed
from pollsters.central.cloud import OpenStack
from pollsters.central.dns import RecordSetPollster, ZonePollster
from pollsters.central.floating_ip import FloatingIPPollster
from pollsters.central.object_storage import AccountPollster
from pollsters.central.volume import BackupPollster, SnapshotPollster, VolumePollster
from pollsters.runner import Place
from tests.openstack.lab import CloudLab
from tests.openstack.services import Answer, Asked, recorded
from tests.pollsters.central.asking import poll, seconds_since

ZONES = "/dns/v2/zones"
NORTH = Place("dns", "north", None, "lab")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer({"error": "no"}, 401), "dns in north of lab: GET /dns/v2/zones: 401 Unauthorized"),
        (Answer({"error": "no"}, 403), "403 Forbidden"),
        (Answer({"error": "no"}, 404), "404 Not Found"),
        (Answer({"error": "no"}, 429, {"Retry-After": "3600"}), "429 Too Many Requests"),
        (Answer("<html>Oops</html>", 500, kind="text/html"), "500 Internal Server Error"),
        (Answer("", 302, {"Location": "http://127.0.0.1:1/"}), "302 Found"),
        (Answer("<html>Log in</html>", kind="text/html"), "no JSON but text/html"),
        (Answer("[" * 100_000), "no JSON"),
        (Answer(""), "no JSON"),
        (Answer({"zones": "all of them"}), "its answer has no list zones"),
        (Answer([]), "its answer has no list zones"),
        (Answer({"zones": [7, {"name": "nameless."}, {"id": ""}]}), "3 entries have no id"),
    ],
)
def test_a_service_that_answers_wrongly_costs_only_its_own_meters_and_says_how(
    clouds: OpenStack, cloud_lab: CloudLab, answer: Answer, said: str
) -> None:
    cloud_lab.services.change(ZONES, answer)

    done = poll(clouds, ZonePollster, FloatingIPPollster)

    assert done.errors == {"ZonePollster": 1}
    assert {counter.name for counter in done.counters} == {"ip.floating"}
    with pytest.raises(ServiceFailed) as failed:
        list(clouds.entries(NORTH, "v2/zones", "zones"))
    assert said in str(failed.value)
    assert failed.value.service == "dns in north of lab"


def test_an_entry_that_lacks_something_costs_only_itself(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    good = recorded("volumes")["volumes"][0]
    sizes: list[Any] = [None, "20", True, float("1e400"), {}]
    bad = [{**good, "id": f"bad-{number}", "size": size} for number, size in enumerate(sizes)]
    cloud_lab.services.change("*/volumes/detail", Answer({"volumes": [bad[0], good, *bad[1:]]}))

    done = poll(clouds, VolumePollster, SnapshotPollster)

    assert [counter.name for counter in done.counters] == ["volume.size", "volume.snapshot.size"]
    assert done.errors == {"VolumePollster": 1}


def test_a_zone_whose_record_sets_cannot_be_counted_costs_only_itself(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    org, net = (zone["id"] for zone in recorded("zones")["zones"])
    cloud_lab.services.change(f"/dns/v2/zones/{org}/recordsets", Answer({"message": "broken"}, 500))

    done = poll(clouds, RecordSetPollster)

    assert [counter.resource_id for counter in done.counters] == [net]
    assert done.errors == {"RecordSetPollster": 1}


def test_a_zone_that_is_deleted_during_the_poll_is_no_error(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    org, net = (zone["id"] for zone in recorded("zones")["zones"])
    cloud_lab.services.change(f"/dns/v2/zones/{org}/recordsets", Answer({"message": "gone"}, 404))

    done = poll(clouds, RecordSetPollster)

    assert ([counter.resource_id for counter in done.counters], done.errors) == ([net], {})


def test_all_pages_are_read_and_an_entry_on_two_pages_is_one(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    """A link names the service as it sees itself, and a token must not follow it there: its query is enough."""
    zone = recorded("zones")["zones"][0]

    def page(asked: Asked) -> Answer:
        start = int(asked.query.get("marker", "0"))
        zones = [{**zone, "id": f"zone-{number}"} for number in range(max(start - 1, 0), min(start + 3, 8))]
        more = {"next": f"http://elsewhere.example/v2/zones?marker={start + 3}"} if start < 6 else {}
        return Answer({"zones": zones, "links": more})

    cloud_lab.services.change(ZONES, page)

    found = list(clouds.entries(NORTH, "v2/zones", "zones"))

    assert [entry["id"] for entry in found] == [f"zone-{number}" for number in range(8)]


def test_pages_that_repeat_themselves_end(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    body = {**recorded("zones"), "links": {"next": "/v2/zones?marker=the-same"}}
    cloud_lab.services.change(ZONES, Answer(body))

    done = poll(clouds, ZonePollster)

    assert len(done.counters) == 2 * 3
    assert done.errors == {"ZonePollster": 1}
    assert cloud_lab.services.paths().count(ZONES) == 2


def test_pages_without_an_end_end(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    clouds.limits.pages = 25
    numbers = itertools.count()

    def page(asked: Asked) -> Answer:
        number = next(numbers)
        zone = {**recorded("zones")["zones"][0], "id": f"zone-{number}"}
        return Answer({"zones": [zone], "links": {"next": f"/v2/zones?marker={number}"}})

    cloud_lab.services.change(ZONES, page)

    done = poll(clouds, ZonePollster)

    assert len(done.counters) == 25 * 3
    assert done.errors == {"ZonePollster": 1}


def test_a_poll_ends_in_time_whatever_a_page_chain_does(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    numbers = itertools.count()

    def empty(asked: Asked) -> Answer:
        time.sleep(0.02)
        return Answer({"zones": [], "links": {"next": f"/v2/zones?marker={next(numbers)}"}})

    cloud_lab.services.change(ZONES, empty)
    clouds.projects("lab")  # a token is had
    start = time.monotonic()

    done = poll(clouds, ZonePollster, seconds=1)

    assert seconds_since(start) < 4
    assert done.errors == {"ZonePollster": 2}  # north, for which time ran out, and south, for which none was left


@pytest.mark.parametrize("slow", ["head", "body"])
def test_an_answer_that_comes_a_byte_at_a_time_is_cut_off_and_its_service_left_alone_for_a_while(
    clouds: OpenStack, cloud_lab: CloudLab, slow: str
) -> None:
    clouds.projects("lab")  # a token is had, with all the time it takes
    clouds.limits.seconds = 0.5
    cloud_lab.services.change("/volume/*", Answer(slow=slow))
    start = time.monotonic()

    done = poll(clouds, VolumePollster, SnapshotPollster, BackupPollster, FloatingIPPollster)

    assert seconds_since(start) < 3
    assert {counter.name for counter in done.counters} == {"ip.floating"}
    assert done.errors == {"VolumePollster": 1, "SnapshotPollster": 1, "BackupPollster": 1}
    assert [path for path in cloud_lab.services.paths() if path.startswith("/volume/")][1:] == []

    cloud_lab.services.reset()
    clouds.limits.seconds, clouds.limits.away_seconds = 10, 0
    assert poll(clouds, VolumePollster).errors == {}


def test_a_body_without_an_end_is_not_read_to_its_end(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    small = OpenStack(("lab",), 10, largest=1 << 20)
    cloud_lab.services.change(ZONES, Answer("[" + " " * (2 << 20)))

    with pytest.raises(ServiceFailed, match="more than 1048576 bytes"):
        list(small.entries(NORTH, "v2/zones", "zones"))


def test_an_account_that_says_no_numbers_costs_only_its_project(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    red = cloud_lab.projects["red"]
    cloud_lab.services.change(f"/swift/v1/AUTH_{red}", Answer("", 204, {"X-Account-Object-Count": "many"}))

    done = poll(clouds, AccountPollster)

    assert {counter.project_id for counter in done.counters} == set(cloud_lab.projects.values()) - {red}
    assert done.errors == {"AccountPollster": 1}


def test_a_token_that_ran_out_is_replaced(clouds: OpenStack, cloud_lab: CloudLab) -> None:
    assert poll(clouds, ZonePollster).errors == {}
    refused: list[str] = []

    def refuse_the_first(asked: Asked) -> Answer:
        token = asked.headers["X-Auth-Token"]
        refused.append(token)
        return Answer({}, 401) if token == refused[0] else Answer(recorded("floatingips"))

    cloud_lab.services.change("/network/v2.0/floatingips", refuse_the_first)
    time.sleep(1.1)  # a token of Keystone's differs by its second

    assert len(poll(clouds, FloatingIPPollster).counters) == 2
    assert len(set(refused)) == 2
