"""Events: what happened, as services said it."""

from typing import Any

import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models

# Django cannot declare partitions. Each partition has its message_id unique, which no key of the whole can say.
CREATE_EVENT = """
CREATE TABLE event (
    generated timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    event_type_id bigint NOT NULL,
    signer_id bigint NOT NULL,
    message_id uuid NOT NULL,
    project_id text,
    given_id text,
    traits jsonb NOT NULL,
    raw text,
    signature bytea NOT NULL
) PARTITION BY RANGE (generated);
CREATE INDEX events_by_time ON event (generated, message_id);
CREATE INDEX events_of_type ON event (event_type_id, generated, message_id);
CREATE INDEX events_of_project ON event (project_id, generated, message_id);
CREATE INDEX events_by_trait ON event USING gin (traits);
"""


def _reference(model: str) -> "models.ForeignKey[Any, Any]":
    return models.ForeignKey(
        db_constraint=False,
        db_index=False,
        on_delete=django.db.models.deletion.DO_NOTHING,
        related_name="+",
        to=f"metering.{model}",
    )


class Migration(migrations.Migration):
    dependencies = [("metering", "0003_node_skew")]

    operations = [
        migrations.CreateModel(
            name="EventType",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField(unique=True)),
            ],
            options={"db_table": "event_type"},
        ),
        migrations.CreateModel(
            name="EventTrait",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField()),
                ("type", models.CharField(max_length=8)),
                ("event_type", _reference("eventtype")),
            ],
            options={
                "db_table": "event_trait",
                "constraints": [
                    models.UniqueConstraint(fields=("event_type", "name", "type"), name="event_trait_once")
                ],
            },
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="Event",
                    fields=[
                        ("message_id", models.UUIDField(primary_key=True, serialize=False)),
                        ("generated", models.DateTimeField()),
                        ("project_id", models.TextField(null=True)),
                        ("traits", models.JSONField()),
                        ("raw", models.TextField(null=True)),
                        ("given_id", models.TextField(null=True)),
                        ("recorded_at", models.DateTimeField()),
                        ("signature", models.BinaryField(max_length=32)),
                        ("event_type", _reference("eventtype")),
                        ("signer", _reference("signer")),
                    ],
                    options={
                        "db_table": "event",
                        "indexes": [
                            models.Index(fields=["generated", "message_id"], name="events_by_time"),
                            models.Index(fields=["event_type", "generated", "message_id"], name="events_of_type"),
                            models.Index(fields=["project_id", "generated", "message_id"], name="events_of_project"),
                            django.contrib.postgres.indexes.GinIndex(fields=["traits"], name="events_by_trait"),
                        ],
                    },
                ),
            ],
            database_operations=[migrations.RunSQL(CREATE_EVENT, "DROP TABLE event")],
        ),
    ]
