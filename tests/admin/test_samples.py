from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from metering.admin.lists import BoundedPaginator
from metering.locator import Locator
from metering.models import Sample, SampleOriginal, SampleRow
from tests.admin import rows
from tests.admin.rows import NOON, WEB

LIST = "/admin/metering/samplerow/"

pytestmark = pytest.mark.django_db


def page(client: Client, **chosen: str) -> str:
    answer = client.get(LIST, chosen)
    return rows.read(answer)


def address(row: SampleRow) -> str:
    return f"{LIST}{row.locator.text.replace('_', '_5F')}/change/"


def test_a_locator_names_the_whole_key() -> None:
    locator = Locator(2**40, NOON, rows.our_id(rows.series(), NOON))

    assert Locator.parse(locator.text) == locator


@pytest.mark.parametrize("text", ["", "7", "ä" * 43, "A" * 42, "A" * 44, "A" * 42 + "\n"])
def test_what_is_no_locator_names_nothing(text: str) -> None:
    assert Locator.parse(text) is None


def test_nothing_is_listed_until_something_is_chosen(admin_client: Client) -> None:
    rows.sample(rows.series())

    text = page(admin_client)

    assert "0 samples" in text
    assert "Choose a resource" in text


def test_a_meter_alone_is_no_choice(admin_client: Client) -> None:
    rows.sample(rows.series("cpu"))

    assert "0 samples" in page(admin_client, meter="cpu")


def test_a_meter_of_a_resource_is_listed_whole(admin_client: Client) -> None:
    rows.resource()
    rows.sample(rows.series("memory"), volume=512.0)
    for days in range(3):
        rows.sample(rows.series("cpu"), NOON - timedelta(days=days), volume=7.25)

    text = page(admin_client, resource=WEB, meter="cpu")

    assert "3 samples" in text
    assert "7.25 ns" in text
    assert "512" not in text


def test_of_all_meters_of_a_resource_the_newest_day_is_listed(admin_client: Client) -> None:
    rows.resource()
    for meter in ("cpu", "memory"):
        for hours in (0, 23, 25):
            rows.sample(rows.series(meter), NOON - timedelta(hours=hours))

    text = page(admin_client, resource=WEB)

    assert "4 samples" in text
    assert "The newest day" in text


def test_a_time_alone_lists_what_was_read_then(admin_client: Client) -> None:
    for minutes in (0, 1, 2):
        rows.sample(rows.series(), NOON + timedelta(minutes=minutes))

    chosen = {"ts_from_0": "2026-03-04", "ts_from_1": "12:01:00", "ts_to_0": "2026-03-04", "ts_to_1": "12:02:00"}

    assert "1 sample" in page(admin_client, **chosen)


def test_a_time_that_cannot_be_read_leads_back_to_the_list(admin_client: Client) -> None:
    answer = admin_client.get(LIST, {"ts_from_0": "2026-02-31"})

    assert (answer.status_code, answer["Location"]) == (302, f"{LIST}?e=1")


@pytest.mark.parametrize(
    "chosen", [{"resource": "a\0b"}, {"resource": "a", "meter": "\0"}, {"project": "\0", "q": WEB}]
)
def test_a_nul_finds_nothing_and_breaks_nothing(admin_client: Client, chosen: dict[str, str]) -> None:
    assert "0 samples" in page(admin_client, **chosen)


def test_a_message_id_finds_its_sample(admin_client: Client) -> None:
    for minutes in (0, 1):
        rows.sample(rows.series(), NOON + timedelta(minutes=minutes), volume=float(minutes + 70))

    text = page(admin_client, q=str(rows.our_id(rows.series(), NOON)))

    assert "1 sample" in text
    assert "70 ns" in text


def test_a_resource_id_that_looks_like_a_message_id_finds_its_samples(admin_client: Client) -> None:
    rows.resource()
    rows.sample(rows.series())

    assert "1 sample" in page(admin_client, q=WEB)


def test_a_sample_shows_what_was_signed_and_by_whom(admin_client: Client) -> None:
    row = rows.sample(rows.series(), volume=1e22, signature=bytes(range(32)))

    text = rows.read(admin_client.get(address(row)))

    assert str(row.message_id) in text
    assert "1e+22 ns" in text
    assert "compute/host-1 (n1:k1)" in text
    assert bytes(range(32)).hex() in text
    assert "2026-03-04 12:00:00.250000" in text
    assert "&quot;name&quot;: &quot;m1.small&quot;" in text


def test_hostile_metadata_is_shown_as_text(admin_client: Client) -> None:
    body = '{"name":"<script>alert(1)</script>\\u202e"}'
    row = rows.sample(rows.series(), metadata=rows.metadata(body))

    text = rows.read(admin_client.get(address(row)))

    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "\u202e" not in text


def test_a_message_kept_as_it_came_is_shown(admin_client: Client) -> None:
    row = rows.sample(rows.series())
    SampleOriginal.objects.create(
        series=row.series, ts=row.ts, message_id=row.message_id, body='{"counter_volume":1.0}'
    )

    assert "{&quot;counter_volume&quot;:1.0}" in rows.read(admin_client.get(address(row)))


def test_two_samples_of_one_message_id_are_two_pages(admin_client: Client) -> None:
    one = rows.sample(rows.series(), volume=81.0)
    other = rows.sample(rows.series("memory", unit="MB"), volume=82.0, message_id=one.message_id)

    assert "81 ns" in rows.read(admin_client.get(address(one)))
    assert "82 MB" in rows.read(admin_client.get(address(other)))


def test_an_address_of_no_sample_leads_back_to_the_index(admin_client: Client) -> None:
    row = rows.sample(rows.series())

    for nowhere in (str(row.message_id), Locator(row.series_id + 1, row.ts, row.message_id).text.replace("_", "_5F")):
        answer = admin_client.get(f"{LIST}{nowhere}/change/")
        assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_nobody_edits_adds_or_deletes_a_sample(admin_client: Client) -> None:
    row = rows.sample(rows.series(), volume=1.0)
    delete = address(row).replace("/change/", "/delete/")

    assert admin_client.post(address(row), {"volume": "2"}).status_code == 403
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403
    assert admin_client.post(f"{LIST}add/", {"volume": "2"}).status_code == 403
    assert Sample.objects.get().volume == 1.0


def test_the_list_takes_the_same_queries_for_one_sample_and_for_many(
    admin_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    rows.resource()
    for minutes in range(60):
        rows.sample(rows.series(), NOON + timedelta(minutes=minutes))

    # session, user; the series of the choice; count and rows; the rows' series and signers
    with django_assert_num_queries(7):
        page(admin_client, resource=WEB, meter="cpu")


def test_the_list_counts_no_further_than_it_shows(admin_client: Client) -> None:
    rows.sample(rows.series())

    with CaptureQueriesContext(connection) as queries:
        page(admin_client, resource=WEB, meter="cpu")

    [count] = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert f"LIMIT {BoundedPaginator.most}" in count
    assert "ORDER BY" not in count


def test_the_newest_of_a_series_are_read_from_the_index_alone(admin_client: Client) -> None:
    rows.sample(rows.series())
    with CaptureQueriesContext(connection) as queries:
        page(admin_client, resource=WEB, meter="cpu")
    [listed] = [query["sql"] for query in queries if 'ORDER BY "sample"' in query["sql"]]

    with connection.cursor() as cursor:
        # So few rows would be read whole and sorted, were that not forbidden.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {listed}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "Index Scan" in plan
    assert "Sort" not in plan
