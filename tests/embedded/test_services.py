"""PostgreSQL without an account, a port or a service manager."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from embedded.daemon import Daemon, DaemonError, tied
from embedded.services import Identity, Postgres, embedded_postgres, identity, socket_folder
from tests.embedded.outliving import outliving

Make = Callable[..., Postgres]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Postgres] = []

    def postgres(runs_as: Identity | None = None) -> Postgres:
        sockets = socket_folder(tmp_path / "run")
        server = Postgres(
            embedded_postgres(), tmp_path / "postgres", sockets, tmp_path / "log", runs_as=runs_as or identity()
        )
        made.append(server)
        return server

    yield postgres
    for server in made:
        server.daemon.stop()


def answer(url: str, question: str) -> object:
    session = psycopg2.connect(url)
    try:
        with session.cursor() as cursor:
            cursor.execute(question)
            row = cursor.fetchone()
            return row and row[0]
    finally:
        session.close()


def test_a_second_start_finds_the_data_of_the_first(make: Make) -> None:
    first = make()
    first.start()
    session = psycopg2.connect(first.create("metering"))
    with session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    session.close()
    first.daemon.stop()

    second = make()
    second.start()

    assert answer(second.create("metering"), "SELECT answer FROM kept") == 42


def test_postgres_listens_on_no_port(make: Make) -> None:
    postgres = make()
    postgres.start()

    assert answer(postgres.url("postgres"), "SHOW listen_addresses") == ""


def test_a_lock_file_with_the_number_of_a_stranger_is_no_hindrance(make: Make) -> None:
    postgres = make()
    postgres.start()
    postgres.daemon.stop()
    stranger = os.getpid()
    (postgres.data / "postmaster.pid").write_text(f"{stranger}\n{postgres.data}\n")

    postgres.start()

    assert answer(postgres.url("postgres"), "SELECT 1") == 1


def test_a_first_start_that_was_interrupted_leaves_nothing_half_made(make: Make) -> None:
    postgres = make()
    half = postgres.data.with_name("postgres.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18")

    postgres.start()

    assert answer(postgres.url("postgres"), "SELECT 1") == 1


def test_it_starts_where_user_namespaces_are_refused_and_never_as_root(make: Make) -> None:
    postgres = make(identity(namespaces=False))
    postgres.start()

    assert psutil.Process(postgres.daemon.pid).uids().real != 0


def test_sockets_of_a_folder_with_a_long_or_odd_name_lie_in_a_short_private_one(tmp_path: Path) -> None:
    for name in ("x" * 120, "a folder with spaces"):
        folder = socket_folder(tmp_path / name / "run")
        try:
            assert len(str(folder)) < 90
            assert folder.stat().st_mode & 0o777 == 0o700
            assert folder == socket_folder(tmp_path / name / "run")
        finally:
            folder.rmdir()


def test_a_program_that_ends_as_it_starts_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    daemon = Daemon("The program", command, tmp_path / "log", lambda: False)

    with pytest.raises(DaemonError, match="The program ended as it started: no such luck"):
        daemon.start()


def test_a_program_ends_with_whoever_started_it_however_that_ends(tmp_path: Path) -> None:
    tell = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", tell, *tied(["sleep", "600"])], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        while child.name() != "sleep":  # setpriv first says what is to happen, then becomes the program
            time.sleep(0.01)
        parent.kill()

    assert outliving([child], seconds=10) == []
