from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from metering.errors import InstanceGone, PollError, ServiceFailed
from pollsters.compute import nova
from pollsters.compute.details import FAILURES, Detail, NovaDetails, read
from pollsters.compute.nova import Nova
from pollsters.runner import Place

SERVER = {
    "id": "i-1",
    "name": "web",
    "hostId": "abc",
    "OS-EXT-STS:task_state": None,
    "OS-EXT-AZ:availability_zone": "az-1",
    "OS-EXT-SRV-ATTR:kernel_id": "",
    "metadata": {"metering.stack": "s-1", "mine": "not yours"},
}


class FakeNova:
    """Servers by id; what is an exception is raised."""

    def __init__(self, servers: Mapping[str, Any]) -> None:
        self.servers = dict(servers)
        self.asked: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, identity: str) -> Mapping[str, Any]:
        self.asked.append(identity)
        self.go_on.wait(10)
        found = self.servers.get(identity, InstanceGone("no such server"))
        if isinstance(found, Exception):
            raise found
        document: Mapping[str, Any] = found
        return document


def test_what_novas_document_tells_goes_into_the_metadata_and_what_it_does_not_is_left() -> None:
    assert read(SERVER) == Detail(
        metadata={"display_name": "web", "host": "abc", "OS-EXT-AZ:availability_zone": "az-1"},
        tags={"metering.stack": "s-1", "mine": "not yours"},
    )


@pytest.mark.parametrize("odd", [{"metadata": ["old"]}, {"metadata": None, "name": 7}, {}])
def test_an_odd_document_tells_nothing(odd: Mapping[str, Any]) -> None:
    assert read(odd) == Detail()


def test_each_instance_is_asked_for_once_until_it_is_old() -> None:
    far = FakeNova({"i-1": SERVER})
    details = NovaDetails(far)
    for _ in range(3):
        details.ask({"i-1", "not nova's"})
        known = details.known(5)

    assert sorted(far.asked) == ["i-1", "not nova's"]
    assert known["i-1"].metadata["display_name"] == "web"
    assert known["not nova's"] == Detail()

    old = NovaDetails(far, believed=-1)
    for _ in range(2):
        old.ask({"i-1"})
        old.known(5)
    assert far.asked[2:] == ["i-1", "i-1"]


def test_a_nova_that_is_slow_holds_no_poll_up_and_is_not_asked_twice_at_once() -> None:
    far = FakeNova({"i-1": SERVER})
    far.go_on.clear()
    details = NovaDetails(far)

    start = time.monotonic()
    for _ in range(3):
        details.ask({"i-1"})
        assert details.known(0.05) == {}
    assert time.monotonic() - start < 2
    far.go_on.set()

    assert set(details.known(5)) == {"i-1"}
    assert far.asked == ["i-1"]


def test_what_nova_told_serves_as_long_as_it_is_away() -> None:
    far = FakeNova({"i-1": SERVER})
    details = NovaDetails(far, believed=-1)
    details.ask({"i-1"})
    details.known(5)
    far.servers["i-1"] = PollError("500")
    for _ in range(2):
        details.ask({"i-1"})
        assert details.known(5)["i-1"].metadata["display_name"] == "web"
        time.sleep(0.05)

    assert len(far.asked) >= 2


def test_one_server_that_nova_cannot_tell_of_costs_only_itself() -> None:
    details = NovaDetails(FakeNova({"a": PollError("500"), "b": SERVER}))
    details.ask({"a", "b"})

    assert set(details.known(5)) == {"b"}


def test_a_nova_that_always_fails_is_soon_left_alone() -> None:
    names = {f"i-{number}" for number in range(10)}
    far = FakeNova(dict.fromkeys(names, PollError("401")))
    details = NovaDetails(far)
    details.ask(names)

    assert details.known(5) == {}
    assert len(far.asked) == FAILURES


def test_instances_that_are_gone_are_forgotten() -> None:
    details = NovaDetails(FakeNova({"i-1": SERVER}))
    details.ask({"i-1"})
    details.known(5)
    details.ask(set())

    assert details.known(5) == {}


class FakeClouds:
    """Regions by name, and what each answers to a path."""

    def __init__(self, regions: Mapping[str, Mapping[str, Any]]) -> None:
        self._regions = regions

    def places(self, service: str) -> Iterator[Place]:
        assert service == "compute"
        yield from (Place(service, name, None, "mine") for name in self._regions)

    def get(
        self, place: Place, path: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        assert headers == nova.VERSION
        answer = self._regions[str(place.region)].get(path, ServiceFailed(str(place), "404 Not Found", 404))
        if isinstance(answer, Exception):
            raise answer
        return answer


def nova_of(regions: Mapping[str, Mapping[str, Any]]) -> Nova:
    return Nova(FakeClouds(regions))  # type: ignore[arg-type] # Nova asks nothing else of clouds


def test_a_server_is_looked_for_in_every_region() -> None:
    found = nova_of({"one": {}, "two": {"servers/i-1": {"server": SERVER}}}).server("i-1")

    assert found == SERVER


def test_a_server_that_no_region_knows_is_not_novas() -> None:
    with pytest.raises(InstanceGone):
        nova_of({"one": {}}).server("../flavors")


@pytest.mark.parametrize("body", [[], {}, {"server": None}, {"server": "i-1"}])
def test_an_answer_of_the_wrong_shape_is_refused(body: Any) -> None:
    with pytest.raises(PollError, match="no server"):
        nova_of({"one": {"servers/i-1": body}}).server("i-1")


def test_a_region_that_fails_is_not_taken_for_one_without_the_server() -> None:
    failing = {"servers/i-1": ServiceFailed("compute in one", "503", 503)}
    with pytest.raises(ServiceFailed, match="503"):
        nova_of({"one": failing, "two": {}}).server("i-1")
