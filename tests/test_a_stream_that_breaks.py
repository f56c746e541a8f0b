"""Who reads a stream must notice that its end is missing, and a reader who goes away must cost nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from django.db import connection, transaction

from tests.factories import reading, store, token
from tests.live_api import LiveApi, live_api
from tests.stage import Stage

SAMPLES = 12_000  # more than a stream reads at once
LONG = {"told": "x" * 1_500}  # so that what is read at once fits into no buffer between server and client

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(tmp_path: Path, database_url: str, stage: Stage) -> Iterator[LiveApi]:
    store(*(reading(number, number, metadata=LONG) for number in range(SAMPLES)))
    with live_api(tmp_path, stage, METERING_API_TIMEOUT="3", METERING_API_THREADS="1") as api:
        yield api


def asked(api: LiveApi, accept: str) -> requests.Response:
    headers = {"X-Auth-Token": token(None), "Accept": accept}
    return requests.get(f"{api.url}/v2/samples", headers=headers, stream=True, timeout=30)


@pytest.mark.parametrize("accept", ["text/csv", "application/x-ndjson"])
def test_a_question_that_takes_too_long_later_breaks_the_answer_off(api: LiveApi, accept: str) -> None:
    with asked(api, accept) as response:
        assert response.status_code == 200
        blocks = response.iter_content(1 << 16)
        next(blocks)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE sample IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                list(blocks)
    assert "canceling statement due to statement timeout" in api.said
    with asked(api, accept) as response:
        assert sum(block.count(b"\n") for block in response.iter_content(1 << 16)) >= SAMPLES


def test_who_goes_away_leaves_the_only_thread_to_others(api: LiveApi) -> None:
    with asked(api, "text/csv") as response:
        next(response.iter_content(1 << 16))
    with asked(api, "application/json") as response:
        assert len(response.json()) == 100
