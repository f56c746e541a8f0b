"""What is true now of a resource, whatever order its samples come in, and how often it moved."""

from __future__ import annotations

from itertools import permutations

import pytest

from metering.models import Resource
from tests.factories import at, reading, store
from tests.metering.storing import batch, record

pytestmark = pytest.mark.usefixtures("ledger")


def only() -> Resource:
    return Resource.objects.select_related("metadata").get()


def test_a_resource_is_known_by_its_first_sample() -> None:
    record(batch(reading(1, 5, metadata={"a": 1})))

    resource = only()
    assert (resource.resource_id, resource.source) == ("web-1", "openstack")
    assert (resource.user_id, resource.project_id) == ("ruth", "red")
    assert (resource.first_sample, resource.last_sample) == (at(5), at(5))
    assert (resource.metadata.body, resource.publisher, resource.moves) == ('{"a":1}', "compute/host-1", 0)


@pytest.mark.parametrize("order", list(permutations([0, 1, 2])))
def test_the_latest_owner_and_metadata_hold_in_whatever_order_the_samples_come(order: tuple[int, ...]) -> None:
    readings = [
        reading(1, 0, project="red", user="ruth", metadata={"name": "old"}),
        reading(1, 10, project="blue", user=None, metadata={"name": "new"}),
        reading(1, 5, project="green", user="eve", metadata={"name": "between"}),
    ]
    record(*(batch(readings[place]) for place in order))

    resource = only()
    assert (resource.project_id, resource.user_id, resource.metadata.body) == ("blue", None, '{"name":"new"}')
    assert (resource.first_sample, resource.last_sample) == (at(0), at(10))


def test_a_batch_counts_by_its_latest_sample_of_each_resource() -> None:
    record(
        batch(*(reading(1, seconds, project=f"p{seconds}", resource=name) for name in "ba" for seconds in (3, 9, 6)))
    )

    assert list(Resource.objects.order_by("resource_id").values_list("resource_id", "project_id")) == [
        ("a", "p9"),
        ("b", "p9"),
    ]


def test_a_resource_of_two_sources_is_two() -> None:
    store(reading(), source="one")
    store(reading(), source="two")

    assert Resource.objects.count() == 2


def test_to_store_again_moves_nothing() -> None:
    texts = [
        batch(reading(1, 0, origin="o")),
        batch(reading(1, 10, origin="o"), publisher="compute/host-2"),
    ]
    record(*texts)
    before = Resource.objects.values().get()

    record(*texts, *texts)

    assert Resource.objects.values().get() == before
    assert before["moves"] == 1


def test_a_move_between_compute_hosts_is_counted_and_shown() -> None:
    hosts = ["compute/a", "compute/a", "compute/b", "compute/a", "compute/c"]
    record(*(batch(reading(1, seconds), publisher=host) for seconds, host in enumerate(hosts)))

    assert (only().moves, only().publisher) == (3, "compute/c")


def test_what_a_listener_or_the_api_says_in_between_is_no_move() -> None:
    publishers = [
        "consumer/x",
        "compute/a",
        "consumer/x",
        "api/y",
        "compute/a",
        "central/central",
        "compute/b",
        "consumer/x",
    ]
    record(*(batch(reading(1, seconds), publisher=name) for seconds, name in enumerate(publishers)))

    assert (only().moves, only().publisher) == (1, "compute/b")
    assert only().last_sample == at(7)


def test_a_late_sample_of_the_host_before_is_no_move() -> None:
    record(
        batch(reading(1, 0), publisher="compute/a"),
        batch(reading(1, 10), publisher="compute/b"),
        batch(reading(1, 5), publisher="compute/a"),
    )

    assert (only().moves, only().publisher) == (1, "compute/b")


def test_a_refused_sample_makes_no_resource() -> None:
    record(batch(reading(1, meter="volume.size")))

    assert not Resource.objects.exists()
