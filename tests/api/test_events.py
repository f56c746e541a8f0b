from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.events import Event
from tests.api import asking
from tests.events import ID, event, store
from tests.factories import NOON, at

pytestmark = pytest.mark.django_db

TIME = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def ids(*numbers: int) -> list[str]:
    return [ID.format(number) for number in numbers]


def found(*q: tuple[str, ...], **params: Any) -> list[str]:
    """The ids of what an admin gets."""
    return [row["message_id"] for row in asking.admin().ask("/v2/events", *q, **params)]


def test_an_event_is_shown_with_its_traits_as_text() -> None:
    store(event(1, 0.5, vcpus=2, load=0.25, launched_at=TIME, user_id=None), event(2, raw='{"payload":{"a":1}}'))

    shown, raw = (
        asking.admin().ask("/v2/events", ("message_id", ID.format(1))),
        asking.admin().ask("/v2/events", limit=1),
    )

    assert shown == [
        {
            "message_id": ID.format(1),
            "event_type": "volume.create.end",
            "generated": "2026-11-23T12:00:00.500000",
            "traits": [
                {"name": "launched_at", "type": "datetime", "value": "2026-11-23T09:00:00"},
                {"name": "load", "type": "float", "value": "0.25"},
                {"name": "project_id", "type": "string", "value": "red"},
                {"name": "resource_id", "type": "string", "value": "v-1"},
                {"name": "vcpus", "type": "integer", "value": "2"},
            ],
            "raw": {},
        }
    ]
    assert raw[0]["raw"] == {"payload": {"a": 1}}
    assert asking.admin().ask(f"/v2/events/{ID.format(1)}") == shown[0]


def test_events_come_oldest_first_and_a_hundred_unless_more_are_asked_for() -> None:
    store(*(event(number, 1_000 - number) for number in range(120)))

    assert found() == ids(*range(119, 19, -1))
    assert found(limit=3) == ids(119, 118, 117)
    assert len(found(limit=1_000)) == 120


def test_events_are_found_by_type_id_and_time() -> None:
    store(event(1, 0), event(2, 60, of="volume.delete.end"), event(3, 120))

    assert found(("event_type", "volume.create.end")) == ids(1, 3)
    assert found(("event_type", "unheard.of")) == []
    assert found(("message_id", ID.format(2))) == ids(2)
    assert found(("start_timestamp", "2026-11-23T12:01:00")) == ids(2, 3)
    assert found(("end_timestamp", "2026-11-23T12:01:00")) == ids(1, 2)
    assert found(("start_timestamp", "2026-11-23T13:00:30+01:00"), ("end_timestamp", "2026-11-23 12:01:30")) == ids(2)
    assert found(("event_type", "volume.create.end"), ("event_type", "volume.delete.end")) == ids(2)


@pytest.mark.parametrize(
    ("clause", "numbers"),
    [
        (("vcpus", "2", "eq", "integer"), [2]),
        (("vcpus", "2", "ne", "integer"), [1, 3]),
        (("vcpus", "2", "lt", "integer"), [1]),
        (("vcpus", "2", "le", "integer"), [1, 2]),
        (("vcpus", "2", "gt", "integer"), [3]),
        (("vcpus", "2", "ge", "integer"), [2, 3]),
        (("vcpus", "2"), []),  # a text, unless it is said otherwise
        (("vcpus", "2", "eq", "float"), []),
        (("load", "0.5", "gt", "float"), [2, 3]),
        (("load", "1", "eq", "float"), [2]),
        (("load", "1e0", "ge", "float"), [2, 3]),
        (("name", "b"), [2]),
        (("name", "b", "ne", "string"), [1, 3, 4]),
        (("name", "b", "gt"), [3, 4]),
        (("name", "äöü \U0001f680 \"'\\", "eq", "string"), [4]),
        (("name", "äöü \U0001f680 \"'", "gt", "string"), [4]),
        (("begun", "2026-11-23T12:00:02", "eq", "datetime"), [2]),
        (("begun", "2026-11-23T13:00:02+01:00", "lt", "datetime"), [1]),
        (("begun", "2026-11-23", "ge", "datetime"), [1, 2, 3]),
        (("odd.name \"'\\ ä", "x"), [4]),
        (("odd.name \"'\\ ä", "y", "ne"), [4]),
        (("absent", "x", "ne"), []),
        (("$.*", "x", "ne"), []),
    ],
)
def test_a_trait_is_compared_as_the_type_that_is_said(clause: tuple[str, ...], numbers: list[int]) -> None:
    traits: list[dict[str, Any]] = [
        {"vcpus": n, "load": n / 2.0, "name": "abc"[n - 1], "begun": at(n)} for n in (1, 2, 3)
    ]
    store(*(event(n, n, **held) for n, held in enumerate(traits, 1)))
    store(event(4, 4, **{"name": "äöü \U0001f680 \"'\\", "odd.name \"'\\ ä": "x"}))

    assert found(clause) == ids(*numbers)


def test_every_clause_about_a_trait_holds() -> None:
    store(*(event(number, number, vcpus=number, name="x" if number % 2 else "y") for number in range(6)))

    between = (("vcpus", "1", "ge", "integer"), ("vcpus", "4", "lt", "integer"))
    assert found(*between) == ids(1, 2, 3)
    assert found(*between, ("name", "x"), ("event_type", "volume.create.end")) == ids(1, 3)


@pytest.mark.parametrize(
    ("clause", "text"),
    [
        *(
            (
                (field, "x", "lt"),
                f"Invalid input for field/attribute op. Value: 'lt'. unimplemented operator for {field}",
            )
            for field in ("event_type", "message_id", "start_timestamp", "end_timestamp")
        ),
        *(
            (
                ("x", "1", "eq", kind),
                f"The data type {kind} is not supported. The supported data type list is: "
                "['integer', 'float', 'string', 'datetime']",
            )
            for kind in ("blob", "boolean")
        ),
        *(
            (("x", value, "eq", kind), f"Unable to convert the value {value} to the expected data type {kind}.")
            for kind, value in (
                ("integer", "x"), ("integer", "1.5"), ("integer", str(1 << 63)), ("float", "x"), ("float", "nan"),
                ("float", "inf"), ("datetime", "yesterday"),
            )
        ),
        (
            ("start_timestamp", "now"),
            "Invalid input for field/attribute timestamp. Value: 'now'. invalid timestamp format",
        ),
        (("x", "1", "like"), "Invalid input for field/attribute op. Value: 'like'. Value should be one of: "
         "lt, le, eq, ne, ge, gt, in"),
    ],
)  # fmt: skip
def test_a_wrong_clause_is_refused_with_the_reason(clause: tuple[str, ...], text: str) -> None:
    assert asking.admin().refusal("/v2/events", clause) == (400, text)


def test_unknown_parameters_and_limits_that_are_none_are_refused() -> None:
    admin = asking.admin()

    assert admin.refusal("/v2/events", x="1") == (400, 'Unknown argument: "x"')
    assert admin.refusal("/v2/events", limit=0) == (400, "Limit must be positive")
    assert admin.refusal("/v2/event_types", limit=1) == (400, 'Unknown argument: "limit"')
    assert admin.refusal(f"/v2/events/{ID.format(1)}", limit=1)[0] == 400
    assert admin.get("/v2/events", headers={"Accept": "text/plain"}).status_code == 406
    assert admin.client.post("/v2/events", headers=admin.headers).status_code == 405


def test_a_project_sees_its_events_and_an_admin_all() -> None:
    store(event(1), event(2, project_id="blue"), event(3, project_id=None))

    assert [row["message_id"] for row in asking.of("red").ask("/v2/events")] == ids(1)
    assert sorted(found()) == ids(1, 2, 3)
    assert asking.of("red").ask("/v2/events", ("project_id", "blue")) == []
    assert asking.of("red").ask("/v2/events", ("project_id", "red", "ne")) == []
    assert asking.of("red").refusal(f"/v2/events/{ID.format(2)}") == (404, f"Event {ID.format(2)} Not Found")
    assert asking.of("red").refusal(f"/v2/events/{ID.format(3)}")[0] == 404
    assert asking.nobody().refusal("/v2/events")[0] == 401


def test_an_event_that_is_not_there_is_not_found() -> None:
    for name in (ID.format(9), "no UUID", ID.format(9).upper()):
        assert asking.admin().refusal(f"/v2/events/{name}") == (404, f"Event {name} Not Found")


def test_an_event_is_found_by_an_id_that_is_no_uuid() -> None:
    store(Event("a b:c", "x", NOON, ()))

    assert asking.admin().ask("/v2/events/a b:c")["message_id"] == "a b:c"
    assert found(("message_id", "a b:c")) == ["a b:c"]


def test_event_types_and_their_traits_are_listed() -> None:
    store(event(1, vcpus=1), event(2, 1, vcpus=2, user_id="u"), event(3, 2, of="a.b", project_id=None))
    admin = asking.admin()

    assert admin.ask("/v2/event_types") == ["a.b", "volume.create.end"]
    assert admin.ask("/v2/event_types/volume.create.end/traits") == [
        {"name": "project_id", "type": "string"},
        {"name": "resource_id", "type": "string"},
        {"name": "user_id", "type": "string"},
        {"name": "vcpus", "type": "integer"},
    ]
    assert admin.ask("/v2/event_types/unheard.of/traits") == []
    assert admin.ask("/v2/event_types/volume.create.end/traits/vcpus") == [
        {"name": "vcpus", "type": "integer", "value": "1"},
        {"name": "vcpus", "type": "integer", "value": "2"},
    ]
    assert admin.ask("/v2/event_types/volume.create.end/traits/user_id", limit=5) == [
        {"name": "user_id", "type": "string", "value": "u"}
    ]
    assert admin.ask("/v2/event_types/volume.create.end/traits/absent") == []
    assert admin.ask("/v2/event_types/unheard.of/traits/vcpus") == []


@pytest.mark.parametrize("slash", ["", "/"])
def test_event_types_are_for_admins_only(slash: str) -> None:
    store(event(1))

    for path in ("", "/volume.create.end/traits", "/volume.create.end/traits/resource_id"):
        assert asking.of("red").refusal(f"/v2/event_types{path}{slash}") == (401, "Not Authorized")
        assert len(asking.admin().ask(f"/v2/event_types{path}{slash}")) >= 1
        assert asking.nobody().refusal(f"/v2/event_types{path}{slash}")[0] == 401


def test_one_event_type_is_nowhere_to_be_found() -> None:
    store(event(1))

    assert asking.admin().refusal("/v2/event_types/volume.create.end")[0] == 404


@pytest.mark.parametrize("project", ["red", None])
@pytest.mark.parametrize(
    ("path", "clauses", "statements"),
    [  # the first statement is always the token's
        ("/v2/events", [], 2),
        ("/v2/events", [("start_timestamp", "2026-11-23"), ("vcpus", "0", "gt", "integer"), ("resource_id", "v-1")], 2),
        ("/v2/events", [("event_type", "volume.create.end")], 3),
        (f"/v2/events/{ID.format(1)}", [], 2),
    ],
)
def test_a_listing_takes_as_few_statements_however_many_events_it_has(
    path: str, clauses: list[tuple[str, ...]], statements: int, project: str | None
) -> None:
    store(*(event(number, number, vcpus=number) for number in range(20)))
    asker = asking.of(project) if project else asking.admin()
    with CaptureQueriesContext(connection) as captured:
        rows = asker.ask(path, *clauses)
    assert rows
    assert len(captured) == statements, [query["sql"] for query in captured]


@pytest.mark.parametrize(
    ("clause", "condition"),
    [
        (("vcpus", "1", "eq", "integer"), """traits @> '{"i:vcpus": 1}'"""),
        (("vcpus", "1", "gt", "integer"), "traits ? 'i:vcpus'"),
        (("begun", "2026-11-23", "lt", "datetime"), "traits ? 'd:begun'"),
        (("name", "x", "ne"), "traits ? 's:name'"),
        (("event_type", "volume.create.end"), "event_type_id = "),
        (("start_timestamp", "2026-11-23"), "generated >= "),
        (("message_id", ID.format(1)), "message_id = "),
    ],
)
def test_each_question_is_answered_by_an_index(clause: tuple[str, ...], condition: str) -> None:
    store(*(event(number, number, vcpus=number) for number in range(20)))
    asker = asking.admin()
    with CaptureQueriesContext(connection) as captured:
        asker.ask("/v2/events", clause)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # of so few rows it would be the cheaper way
        if condition.startswith("traits"):
            cursor.execute("SET LOCAL enable_indexscan = off")  # in order of time, looking at each
        cursor.execute(f"EXPLAIN {captured[-1]['sql'].rpartition('; ')[2]}")  # behind its settings
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert any(condition in line for line in plan.splitlines() if "Index Cond" in line), plan
