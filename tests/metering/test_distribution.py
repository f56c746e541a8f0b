"""The ledger is ready to be distributed, and says plainly where it cannot be."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from metering.store import distribution

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("distribute", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("table", distribution.DISTRIBUTED)
def test_every_unique_key_of_a_large_table_holds_the_series(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(attname::text) FROM pg_index JOIN pg_attribute ON attrelid = indrelid "
            "AND attnum = ANY(indkey[:indnkeyatts - 1]) WHERE indisunique AND indrelid = %s::regclass "
            "GROUP BY indexrelid",
            [table],
        )
        keys = [row[0] for row in cursor.fetchall()]

    assert all(distribution.KEY in key for key in keys)
    assert keys or table == "late"  # which has no key at all


@pytest.mark.parametrize("table", [*distribution.DISTRIBUTED, *distribution.REFERENCES])
def test_no_large_table_refers_to_another_by_a_constraint_that_would_cross_servers(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass", [table])
        assert cursor.fetchone() == (0,)


def test_the_statements_are_printed_with_what_is_missing_to_run_them() -> None:
    out, err = run("--shards", "64")

    lines = out.splitlines()
    assert lines[0] == "CREATE EXTENSION IF NOT EXISTS citus;"
    assert "SELECT create_reference_table('series');" in lines
    assert "SELECT create_distributed_table('sample', 'series_id', shard_count => 64);" in lines
    assert "SELECT create_distributed_table('sample_hour', 'series_id', colocate_with => 'sample');" in lines
    assert ("has no extension citus" in err) is not distribution.is_available()


def test_without_the_extension_nothing_is_run() -> None:
    with pytest.raises(CommandError, match="nothing was changed: this PostgreSQL server has no extension citus"):
        run("--run")


def test_there_is_no_ledger_of_no_shards() -> None:
    with pytest.raises(CommandError, match="--shards must be 1 or more"):
        run("--shards", "0")
