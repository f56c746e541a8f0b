from __future__ import annotations

import csv
import io
import itertools
import json
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import listing
from metering.models import Caller
from metering.models.questions import Question
from metering.models.sample_pages import SampleStream
from tests import events
from tests.api import asking
from tests.api.asking import Asker
from tests.factories import at, reading, store, store_foreign

pytestmark = pytest.mark.django_db

CSV, NDJSON = "text/csv", "application/x-ndjson"


def streamed(asker: Asker, accept: str, path: str, *q: tuple[str, ...], **params: Any) -> bytes:
    response = asker.get(path, *q, headers={"Accept": accept}, **params)
    assert response.status_code == 200, response.content
    assert response.streaming
    assert response["Content-Type"].startswith(f"{accept}; charset=UTF-8")
    return response.getvalue()


def table(asker: Asker, path: str, *q: tuple[str, ...], **params: Any) -> list[dict[str, str]]:
    text = streamed(asker, CSV, path, *q, **params).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def lines(asker: Asker, path: str, *q: tuple[str, ...], **params: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in streamed(asker, NDJSON, path, *q, **params).splitlines()]


def cell(value: Any) -> str:
    return "" if value is None else json.dumps(value) if isinstance(value, dict | list) else str(value)


def filled() -> None:
    hostile = {"quoted": 'say "hi", a\nb;é', "deep": {"a": {"b": 1}}, "none": None}
    store(*(reading(n / 4, 2_400 * n, resource=f"web-{n % 4}", metadata=hostile) for n in range(30)))
    store(*(reading(n, 60, resource="db,=1+1", meter=f"m{n}", project="blue", user=None) for n in range(5)))
    store_foreign("not a UUID", reading(7, 60, resource="web-0"))


@pytest.mark.parametrize(
    ("path", "clauses"),
    [
        ("/v2/samples", []),
        ("/v2/samples", [("timestamp", at(3_600).isoformat(), "gt"), ("timestamp", at(36_000).isoformat(), "le")]),
        ("/v2/samples", [("resource", "web-0")]),
        ("/v2/samples", [("resource", "nothing")]),
        ("/v2/meters/cpu", [("metadata.deep.a.b", "1")]),
        ("/v2/meters", []),
        ("/v2/resources", []),
        ("/v2/events", []),
    ],
)
def test_a_listing_says_the_same_as_csv_as_json_lines_and_as_json(
    path: str, clauses: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "STEP", 7)
    filled()
    events.store(*(events.event(number, number, host="n1") for number in range(10)))
    for asker in (asking.admin(), asking.of("blue")):
        rows = asker.ask(path, *clauses, limit=1_000)
        assert lines(asker, path, *clauses) == rows
        read = table(asker, path, *clauses)
        assert len(read) == len(rows)
        for told, row in zip(read, rows, strict=True):
            assert list(told) == list(row)
            for name, value in row.items():
                assert told[name] == cell(value) or json.loads(told[name]) == value


def test_a_stream_has_all_rows_unless_a_limit_is_asked_for() -> None:
    store(*(reading(number, number) for number in range(150)))
    asker = asking.admin()
    assert len(asker.ask("/v2/samples")) == 100
    assert len(lines(asker, "/v2/samples")) == 150
    assert [row["volume"] for row in table(asker, "/v2/samples", limit=2)] == ["149.0", "148.0"]
    link = asker.get("/v2/samples", limit=149)["Link"].partition(">")[0][1:]
    [last] = asker.client.get(link, headers={**asker.headers, "Accept": NDJSON}).getvalue().splitlines()
    assert json.loads(last)["volume"] == 0


def test_a_list_too_long_to_be_put_together_first_is_streamed_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    store(*(reading(number, number) for number in range(20)))
    asker = asking.admin()
    whole = asker.ask("/v2/samples")
    monkeypatch.setattr(listing, "MOST_AT_ONCE", 10)
    monkeypatch.setattr(listing, "STEP", 3)
    for path, rows in (("/v2/samples", whole), ("/v2/samples?q.field=user&q.value=nobody", [])):
        response = asker.get(path + ("&" if "?" in path else "?") + "limit=1000000")
        assert response.streaming
        assert json.loads(response.getvalue()) == rows


def test_a_table_of_statistics_has_a_column_for_each_group_and_figure() -> None:
    store(reading(1), reading(3, 60, resource="web-2"))
    asker = asking.admin()
    params: dict[str, Any] = {"groupby": ["resource_id", "user_id"], "aggregate__func": ["max", "first"]}
    rows = table(asker, "/v2/meters/cpu/statistics", **params)
    assert [(row["groupby.resource_id"], row["max"], row["aggregate.first"]) for row in rows] == [
        ("web-1", "1.0", "1.0"),
        ("web-2", "3.0", "3.0"),
    ]
    head = streamed(asker, CSV, "/v2/meters/nothing/statistics", **params)
    assert head == (
        b"groupby.resource_id,groupby.user_id,unit,period,period_start,period_end,duration,duration_start,duration_end,"
        b"max,aggregate.max,aggregate.first\r\n"
    )
    assert lines(asker, "/v2/meters/cpu/statistics") == asker.ask("/v2/meters/cpu/statistics")


def test_a_lone_surrogate_is_shown_escaped() -> None:
    store(reading(metadata={"name": "\ud800"}))
    asker = asking.admin()
    assert lines(asker, "/v2/samples")[0]["metadata"] == {"name": "\ud800"}
    assert json.loads(table(asker, "/v2/samples")[0]["metadata"]) == {"name": "\ud800"}


@pytest.mark.parametrize("accept", [CSV, NDJSON])
def test_an_error_is_json_whatever_form_was_wanted(accept: str) -> None:
    asker = asking.admin()
    for path, status in (("/v2/samples?limit=0", 400), ("/v2/meters?wrong=1", 400)):
        assert asking.refusal(asker.get(path, headers={"Accept": accept}))[0] == status
    assert asking.refusal(asking.nobody().get("/v2/samples", headers={"Accept": accept}))[0] == 401
    assert asking.refusal(asker.get("/v2/samples/x", headers={"Accept": accept}))[0] == 406  # not a listing


def test_what_fails_in_the_midst_ends_the_stream_and_not_only_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "STEP", 3)
    store(*(reading(number, number) for number in range(10)))
    response = asking.admin().get("/v2/samples", headers={"Accept": NDJSON})
    parts = iter(response)

    def broken(*_: Any) -> None:
        raise ConnectionResetError("the database is gone")

    assert next(parts) == b""
    assert next(parts)
    with connection.execute_wrapper(broken), pytest.raises(ConnectionResetError):
        list(parts)


SPREAD = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 60, 3_599, 86_400, 9 * 86_400, 25 * 86_400]),
        st.integers(0, 3),
        st.sampled_from(["a", "b", "c"]),
    ),
    max_size=40,
    unique=True,
)
EXAMPLES = itertools.count()


@given(spread=SPREAD, size=st.integers(1, 9))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_pages_of_a_stream_are_all_samples_once_however_they_lie(
    spread: list[tuple[int, int, str]], size: int
) -> None:
    source = f"example {next(EXAMPLES)}"
    store(*(reading(1, offset - ago, resource=resource) for ago, offset, resource in spread), source=source)
    question = Question(equal={"source": source})
    stream = SampleStream(Caller(None, None, is_admin=True), question)
    after, found = None, []
    while True:
        page = stream.page(after, size)
        assert len(page.rows) <= size
        found += page.rows
        if page.next is None:
            break
        after = page.next
    assert {(row.ts, row.series.resource_id) for row in found} == {
        (at(offset - ago), resource) for ago, offset, resource in spread
    }
    assert len(found) == len(spread)
    assert [row.ts for row in found] == sorted((row.ts for row in found), reverse=True)


def test_a_complex_query_is_streamed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "STEP", 3)
    store(*(reading(number, 60 * number, resource=f"web-{number % 3}") for number in range(150)))
    asker = asking.admin()

    def ask(accept: str, **body: Any) -> Any:
        headers = {**asker.headers, "Accept": accept}
        return asker.client.post("/v2/query/samples", body, content_type="application/json", headers=headers)

    chosen = json.dumps({"or": [{"=": {"resource": "web-1"}}, {">": {"volume": 140}}]})
    whole = json.loads(ask("application/json", filter=chosen, limit=1_000).content)
    assert [json.loads(line) for line in ask(NDJSON, filter=chosen).getvalue().splitlines()] == whole
    assert len(ask(CSV, filter=chosen, limit=7).getvalue().splitlines()) == 1 + 7
    assert len(ask(CSV).getvalue().splitlines()) == 1 + 150
    first, *_ = csv.DictReader(io.StringIO(ask(CSV, orderby='[{"volume": "asc"}]').getvalue().decode(), newline=""))
    assert first["volume"] == "0.0"
    broken = json.dumps({"=~": {"resource": "("}})
    assert asking.refusal(ask(CSV, filter=broken))[0] == 400
