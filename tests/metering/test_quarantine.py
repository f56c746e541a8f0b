"""Nothing that was refused vanishes: it is kept with its reason, in the database or in a file while that is away."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from hypothesis import given
from hypothesis import strategies as st

from embedded.services import Postgres
from metering.models import Quarantine
from metering.sifting import Refused
from metering.store import quarantine
from metering.store.quarantine import Kept
from tests.metering.storing import undone
from tests.metering.strategies import few, json_values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def refused(*things: Refused) -> None:
    with connection.cursor() as cursor:
        quarantine.keep_refused(cursor, things)


@pytest.mark.usefixtures("db")
def test_the_same_body_twice_is_one_row_with_a_higher_count(folder: Path) -> None:
    quarantine.keep(Kept("batch", b"body", "first reason", "compute/a", {"queue": "samples", "task": "x"}), folder)
    Quarantine.objects.update(state=Quarantine.State.REPLAYED)
    quarantine.keep(Kept("batch", b"body", "second reason", "compute/a", {"traceback": "y", "task": "z"}), folder)

    [row] = Quarantine.objects.all()
    assert (row.count, row.reason, row.state) == (2, "second reason", "kept")
    assert row.details == {"queue": "samples", "task": "z", "traceback": "y"}
    assert row.last_seen >= row.first_seen
    assert not folder.exists()


@pytest.mark.usefixtures("db")
def test_another_body_or_the_same_of_another_kind_is_another_row(folder: Path) -> None:
    for kind, body in (("batch", b"a"), ("message", b"a"), ("batch", b"b"), ("batch", b"")):
        quarantine.keep(Kept(kind, body, "reason"), folder)

    assert Quarantine.objects.count() == 4


@pytest.mark.usefixtures("db")
def test_a_body_is_kept_byte_for_byte() -> None:
    refused(Refused("größe \ud800 \0", "reason", ""))

    [row] = Quarantine.objects.all()
    assert bytes(row.body) == "größe \ud800 \0".encode("utf-8", "surrogatepass")


HOSTILE = ["\0", "\ud800", "\udfff\ud800", r"\u0000", r"\ud800", r"\\u0000", '"', "\\", "ü🚀", "x" * 100_000]


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_reason_publisher_and_details_may_quote_anything(text: str, folder: Path) -> None:
    quarantine.keep(Kept("message", b"body", text, text, {"task": text, text: [{"deep": text}]}), folder)

    [row] = Quarantine.objects.all()
    assert not folder.exists()
    assert len(row.reason) <= quarantine.MOST_REASON
    if text == r"\u0000":
        assert (row.reason, row.details["task"]) == (text, text)


details = st.dictionaries(st.text(st.characters(), max_size=10), json_values, max_size=4)


@pytest.mark.usefixtures("db")
@few
@given(st.binary(max_size=50), st.text(st.characters(), max_size=50), details)
def test_whatever_it_is_the_database_takes_it(body: bytes, text: str, about: dict[str, Any]) -> None:
    with undone():
        quarantine.keep(Kept("message", body, text, text, about), Path("/nowhere"))

        assert bytes(Quarantine.objects.get().body) == body


@pytest.mark.usefixtures("db")
def test_what_was_kept_in_files_is_loaded_once(folder: Path) -> None:
    thing = Kept("notification", b"\x00\xff body", "no \ud800 good", "consumer/a", {"exchange": "nova"})
    folder.mkdir()
    saved = {"kind": thing.kind, "body": base64.b64encode(thing.body).decode(), "reason": thing.reason,
             "publisher": thing.publisher, "details": dict(thing.details)}  # fmt: skip
    (folder / "one.json").write_text(json.dumps(saved))

    assert quarantine.load_kept(folder) == 1
    assert quarantine.load_kept(folder) == 0
    [row] = Quarantine.objects.all()
    assert (row.kind, bytes(row.body), row.publisher) == ("notification", thing.body, "consumer/a")
    assert row.details == {"exchange": "nova"}


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"kind": "batch"}', '{"body": 7}', '{"body": "no base64!"}'])
def test_a_file_that_cannot_be_read_is_set_aside_and_the_others_are_loaded(content: str, folder: Path) -> None:
    folder.mkdir()
    (folder / "0.json").write_text(content)
    saved = {"kind": "batch", "body": "YQ==", "reason": "r", "publisher": "", "details": {}}
    (folder / "1.json").write_text(json.dumps(saved))

    assert quarantine.load_kept(folder) == 1
    assert (folder / "0.broken").read_text() == content
    assert Quarantine.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_file_is_loaded_once_by_any_number_of_workers(folder: Path) -> None:
    folder.mkdir()
    for number in range(20):
        saved = {"kind": "batch", "body": base64.b64encode(b"%d" % number).decode(), "reason": "r"}
        (folder / f"{number}.json").write_text(json.dumps(saved))
    begin = threading.Barrier(4)

    def load() -> int:
        begin.wait(30)
        try:
            return quarantine.load_kept(folder)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        loaded = [done.result(30) for done in [pool.submit(load) for _ in range(4)]]

    assert sum(loaded) == 20
    assert [row.count for row in Quarantine.objects.all()] == [1] * 20
    assert list(folder.iterdir()) == []


def test_there_may_be_no_folder(folder: Path) -> None:
    assert quarantine.load_kept(folder) == 0


@pytest.mark.django_db(transaction=True)
def test_what_is_refused_while_the_database_is_away_is_kept_in_a_file_and_loaded_later(
    postgres: Postgres, folder: Path
) -> None:
    thing = Kept("batch", b"body \xff", "reason", "compute/a", {"task": "x"})
    connection.close()
    postgres.daemon.stop()
    try:
        for _ in range(2):
            quarantine.keep(thing, folder)
        assert quarantine.load_kept(folder) == 0
    finally:
        postgres.start()
        connection.close()

    [file] = folder.iterdir()
    assert file.name == f"{thing.digest.hex()}.json"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert quarantine.load_kept(folder) == 1
    [row] = Quarantine.objects.all()
    assert (bytes(row.body), row.reason, row.details) == (b"body \xff", "reason", {"task": "x"})
    assert list(folder.iterdir()) == []
