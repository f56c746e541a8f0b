from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api import asking
from tests.factories import reading, store, store_foreign

pytestmark = pytest.mark.django_db

RECENT = ("timestamp", "2026-11-23", "ge")
TAGGED = ("metadata.tag", "x")


@pytest.mark.parametrize("project", ["red", None])
@pytest.mark.parametrize(
    ("path", "clauses", "statements"),
    [  # the first statement is always the token's
        ("/v2/meters", [], 2),
        ("/v2/meters", [TAGGED], 2),
        ("/v2/meters/cpu", [RECENT, TAGGED], 4),  # of the last day, of all; what the foreign sample calls itself
        ("/v2/samples", [], 4),
        ("/v2/samples", [("resource", "web-1")], 3),
        ("/v2/resources", [TAGGED], 3),
        ("/v2/resources", [RECENT, TAGGED], 3),
        ("/v2/meters/cpu/statistics", [RECENT], 3),
    ],
)
def test_a_listing_takes_as_few_statements_however_many_rows_it_has(
    path: str, clauses: list[tuple[str, ...]], statements: int, project: str | None
) -> None:
    meters, resources = ("cpu", "vcpus", "memory"), [f"web-{number}" for number in range(5)]
    tag = {"tag": "x"}
    store(*(reading(1, 0, resource=resource, meter=meter, metadata=tag) for resource in resources for meter in meters))
    store_foreign("not a UUID", reading(7, 5, resource="web-0", metadata=tag))
    asker = asking.of(project) if project else asking.admin()
    with CaptureQueriesContext(connection) as captured:
        rows = asker.ask(path, *clauses)
    assert rows
    assert len(captured) == statements, [query["sql"] for query in captured]


def test_statistics_of_many_groups_are_one_statement() -> None:
    store(*(reading(1, second, resource=f"web-{second % 3}") for second in range(50)))
    asker = asking.admin()
    with CaptureQueriesContext(connection) as captured:
        rows = asker.ask("/v2/meters/cpu/statistics", period=10, groupby=["resource_id", "user_id"])
    assert len(rows) == 15
    assert len(captured) == 3  # the token, how far there are roll-ups, and the figures
