"""Listings answer from the few rows that they show, whatever else is stored."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.models import Caller, ResourceMetadata, Sample, Series
from metering.models.newest import newest_samples
from metering.models.owners import latest_owners
from metering.models.questions import Place, Question, Window
from tests.factories import NOON, at, reading
from tests.metering.storing import batch, record

ADMIN = Caller("an admin", None, is_admin=True)

pytestmark = pytest.mark.usefixtures("ledger")


@pytest.fixture
def now() -> float:
    """Some minutes ago, in seconds after `NOON`."""
    return (datetime.now(UTC) - NOON).total_seconds() - 600


def store_old_and_new(now: float) -> None:
    for place, when in enumerate((now - 90 * 86_400, now - 5 * 86_400, now)):
        metadata = {"age": place}
        record(batch(*(reading(10 * place + n, when + n, origin="o", metadata=metadata) for n in range(3))))


@pytest.mark.parametrize(
    ("question", "statements"),
    [(Question(), 2), (Question(metadata={"age": 2}), 1), (Question(equal={"meter": "cpu"}), 2)],
)
def test_enough_of_the_last_day_are_found_in_few_statements(now: float, question: Question, statements: int) -> None:
    store_old_and_new(now)

    with CaptureQueriesContext(connection) as captured:
        found = newest_samples(ADMIN, question, 3)

    assert [sample.volume for sample in found] == [22, 21, 20]
    assert len(captured) == statements


@pytest.mark.parametrize(
    ("question", "volumes"),
    [
        (Question(), [22, 21, 20, 12, 11, 10, 2, 1, 0]),
        (Question(metadata={"age": 1}), [12, 11, 10]),
        (Question(metadata={"age": 3}), []),
        (Question(equal={"meter": "memory"}), []),
    ],
)
def test_where_the_last_day_has_too_few_all_others_are_looked_at(
    now: float, question: Question, volumes: list[float]
) -> None:
    store_old_and_new(now)

    assert [sample.volume for sample in newest_samples(ADMIN, question, 100)] == volumes


@pytest.mark.parametrize("seed", range(3))
def test_the_newest_are_found_whichever_series_have_ended(now: float, seed: int) -> None:
    chance = random.Random(seed)
    counters = [
        reading(
            number,
            now - 60 * chance.choice((0, 0, 1, 1, 2, 3, chance.randrange(3_000))),
            resource=f"web-{chance.randrange(12)}",
            meter=f"meter-{chance.randrange(6)}",
            project=chance.choice(("red", "red", "blue")),
            origin="o",
        )
        for number in range(150)
    ]
    record(batch(*counters))
    stored = list(Sample.objects.select_related("series").order_by("-ts", "-series_id", "-message_id"))
    windows = [
        Window(),
        Window(end=at(now - 61)),
        Window(behind=Place(stored[5].ts, stored[5].series_id, stored[5].message_id)),
    ]
    ways = set()
    for window, limit, project in itertools.product(windows, (1, 5, 60), (None, "red", "blue")):
        caller = Caller("somebody", project, is_admin=project is None)
        for equal in ({}, {"resource_id": "web-3"}, {"meter": "meter-2"}):
            with CaptureQueriesContext(connection) as captured:
                found = newest_samples(caller, Question(equal=equal, window=window), limit)
            of_question = Sample.objects.within(window).visible_to(caller).of(equal)
            assert found == [sample for sample in stored if sample in set(of_question)][:limit]
            ways.add((len(captured), '"last_sample" > ' in captured[1]["sql"]))
    assert ways == {(2, False), (3, True), (3, False)}  # each way was gone


@pytest.mark.parametrize("days_ago", [0, 20])
@pytest.mark.parametrize("limit", [1, 2, 3, None])
def test_of_a_resource_that_changed_hands_the_present_owner_is_listed_on_any_page(
    now: float, days_ago: int, limit: int | None
) -> None:
    when = now - days_ago * 86_400
    record(batch(reading(1, when, project="red", resource="a", origin="o")))
    record(batch(reading(1, when, project="red", resource="b", origin="o")))
    record(batch(reading(2, when + 60, project="blue", resource="a", origin="o")))
    record(batch(reading(2, when - 60, project="blue", resource="b", origin="o")))

    found = latest_owners(Series.objects.all(), limit)

    whole = [("b", "red"), ("a", "blue")]
    assert [(series.resource_id, series.project_id) for series in found] == whole[:limit]


def test_meters_with_one_owner_each_are_listed_in_one_statement() -> None:
    record(batch(*(reading(n, n, resource=f"r-{n}", origin="o") for n in range(5))))

    with CaptureQueriesContext(connection) as captured:
        found = latest_owners(Series.objects.all(), 100)

    assert (len(found), len(captured)) == (5, 1)


def test_metadata_are_found_by_their_index() -> None:
    record(batch(reading(1, metadata={"server": {"flavor": "small"}}, origin="o")))
    saying = ResourceMetadata.objects.saying({"server.flavor": "small"})

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # which would do for one row

    assert saying.count() == 1
    assert "metadata_by_document" in saying.explain()
    assert "metadata_by_document" in Sample.objects.matching(Question(metadata={"server.flavor": "small"})).explain()
