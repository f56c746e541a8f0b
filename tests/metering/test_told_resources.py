"""A poll that tells nothing new of a resource moves its time alone, and never over what others have told."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from metering.models import Resource
from metering.store import resources
from tests.factories import at, reading
from tests.metering.storing import batch, record

# Committed, not undone: what was told of a resource is remembered only once it is.
pytestmark = pytest.mark.usefixtures("shared_ledger")


def only() -> Resource:
    return Resource.objects.select_related("metadata").get()


def poll(seconds: float, publisher: str = "compute/host-1", **about: Any) -> str:
    return batch(reading(1, seconds, **about), publisher=publisher)


def told_anew(text: str) -> bool:
    """Whether the batch wrote more than times."""
    with CaptureQueriesContext(connection) as found:
        record(text)
    return any("INSERT INTO resource AS now" in query["sql"] for query in found)


def test_a_poll_that_tells_nothing_new_moves_the_time_alone() -> None:
    assert told_anew(poll(0))
    revision = only().revision

    assert not told_anew(poll(60))
    assert not told_anew(poll(120))

    assert (only().first_sample, only().last_sample, only().revision) == (at(0), at(120), revision)


def test_a_time_never_goes_back() -> None:
    record(poll(0), poll(60))

    assert not told_anew(poll(30))

    assert only().last_sample == at(60)


@pytest.mark.parametrize(
    "about", [{"metadata": {"new": 1}}, {"project": "blue"}, {"user": None}, {"publisher": "compute/host-2"}]
)
def test_whatever_is_new_is_told(about: dict[str, Any]) -> None:
    record(poll(0))

    assert told_anew(poll(60, **about))
    assert not told_anew(poll(120, **about))

    assert only().moves == ("publisher" in about)
    assert only().last_sample == at(120)


def test_an_earlier_sample_than_the_first_moves_the_first() -> None:
    record(poll(60))

    assert told_anew(poll(0))

    assert (only().first_sample, only().last_sample) == (at(0), at(60))


def test_what_another_worker_has_told_in_between_is_told_back() -> None:
    """This worker saw the old name last; the new one, which another stored, must not stay for ever."""
    record(poll(0, metadata={"name": "old"}))
    remembered = dict(resources._told.young)
    resources.forget()  # as the other worker, that stores the next poll
    record(poll(60, metadata={"name": "new"}))
    for key, told in remembered.items():
        resources._told.put(key, told)

    assert told_anew(poll(120, metadata={"name": "old"}))

    assert (only().metadata.body, only().last_sample) == ('{"name":"old"}', at(120))


def test_a_resource_that_is_gone_is_made_again() -> None:
    record(poll(0))
    Resource.objects.all().delete()

    assert told_anew(poll(60))

    assert only().first_sample == at(60)


def test_what_was_rolled_back_was_not_told() -> None:
    record(poll(0))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE node ADD CONSTRAINT refused CHECK (publisher <> 'compute/host-2')")
    try:
        with pytest.raises(IntegrityError):
            record(poll(60, "compute/host-2", metadata={"name": "never stored"}))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE node DROP CONSTRAINT refused")

    assert told_anew(poll(120, "compute/host-2", metadata={"name": "never stored"}))

    assert only().metadata.body == '{"name":"never stored"}'
