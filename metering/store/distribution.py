"""The ledger over several PostgreSQL servers, by the extension Citus: what is to be told to it."""

from __future__ import annotations

from django.db import connection, transaction

EXTENSION = "citus"
KEY = "series_id"  # every unique key of the large tables has it
# Together: a join of two of them by series stays on one server.
DISTRIBUTED = ("sample", "sample_original", "sample_hour", "sample_day", "late", "foreign_id")
# On every server, because samples are joined with them, and each is written once.
REFERENCES = ("series", "resource_metadata", "told_metadata", "signer")


def statements(shards: int) -> list[str]:
    """What makes an ordinary ledger a distributed one, rows included; all other tables stay on the coordinator."""
    first, *others = DISTRIBUTED
    return [
        f"CREATE EXTENSION IF NOT EXISTS {EXTENSION}",
        *(f"SELECT create_reference_table('{table}')" for table in REFERENCES),
        f"SELECT create_distributed_table('{first}', '{KEY}', shard_count => {shards})",
        *(f"SELECT create_distributed_table('{table}', '{KEY}', colocate_with => '{first}')" for table in others),
    ]


def is_available() -> bool:
    """Whether the server has the extension, made or not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = %s)", [EXTENSION])
        return bool(cursor.fetchone()[0])


def distribute(shards: int) -> None:
    """Run the statements, all or none. Readers and writers of the ledger wait meanwhile."""
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements(shards):
            cursor.execute(statement)
