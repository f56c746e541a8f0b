from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from metering.models import PollSlot
from tests.api import asking

pytestmark = pytest.mark.django_db


def filled() -> None:
    """Of two nodes a poll received, one received in part, one missed, and one that is still expected."""
    now = timezone.now().replace(microsecond=0)
    for node in ("host-1", "host-2"):
        for slot, (ago, parts, received) in enumerate(((180, 2, 2), (120, 2, 1), (60, None, 0), (0, None, 0))):
            due = now - timedelta(seconds=ago)
            PollSlot.objects.create(
                source="default", slot=slot, node=node, shard=0, due=due, deadline=due + timedelta(seconds=30),
                parts=parts, received=received, errors={"DiskPollster": 2} if slot == 1 else {},
            )  # fmt: skip


def states(*q: tuple[str, ...], **params: Any) -> list[tuple[str, int, str]]:
    return [(row["node"], row["slot"], row["state"]) for row in asking.admin().ask("/v2/polls", *q, **params)]


def test_polls_tell_what_was_expected_and_what_came_of_it() -> None:
    filled()
    assert states(("node", "host-1")) == [
        ("host-1", 3, "expected"),
        ("host-1", 2, "missed"),
        ("host-1", 1, "missed"),
        ("host-1", 0, "received"),
    ]


def test_gaps_are_those_that_were_missed() -> None:
    filled()
    assert sorted(states(("state", "missed"))) == [
        (f"host-{node}", slot, "missed") for node in (1, 2) for slot in (1, 2)
    ]
    assert sorted(states(("state", "received"))) == [("host-1", 0, "received"), ("host-2", 0, "received")]
    assert sorted(states(("state", "expected"))) == [("host-1", 3, "expected"), ("host-2", 3, "expected")]
    due = PollSlot.objects.get(node="host-1", slot=1).due.isoformat()
    assert len(states(("timestamp", due, "le"))) == 4
    assert states(("source", "other")) == []


def test_pages_and_tables_of_polls() -> None:
    filled()
    asker = asking.admin()
    whole, pages, path = asker.ask("/v2/polls"), [], "/v2/polls?limit=3"
    while path:
        response = asker.get(path)
        pages += response.json()
        path = response.get("Link", "").partition(">")[0].removeprefix("<http://testserver")
    assert pages == whole
    text = asker.get("/v2/polls", headers={"Accept": "text/csv"}).getvalue().decode()
    assert text.splitlines()[0].startswith("source,slot,node,shard,due,deadline,state,note,parts,received,")
    assert '"{""DiskPollster"":2}"' in text
    with CaptureQueriesContext(connection) as captured:
        asker.ask("/v2/polls")
    assert len(captured) == 2


def test_polls_are_for_admins_only_and_know_their_fields() -> None:
    assert asking.of("red").refusal("/v2/polls")[0] == 401
    for clause in (("state", "lost"), ("metadata.x", "1"), ("project", "red"), ("node", "a", "lt")):
        assert asking.admin().refusal("/v2/polls", clause)[0] == 400
