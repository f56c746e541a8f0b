"""The tables that a sample needs on its way."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

# Django cannot declare partitions. The columns stand in the order that packs them densest.
CREATE_SAMPLE = """
CREATE TABLE sample (
    ts timestamptz NOT NULL,
    volume double precision NOT NULL,
    recorded_at timestamptz NOT NULL,
    series_id bigint NOT NULL,
    metadata_id bigint NOT NULL,
    signer_id bigint NOT NULL,
    message_id uuid NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (series_id, ts, message_id)
) PARTITION BY RANGE (ts)
"""
CREATE_SAMPLE_ORIGINAL = """
CREATE TABLE sample_original (
    ts timestamptz NOT NULL,
    series_id bigint NOT NULL,
    message_id uuid NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (series_id, ts, message_id)
) PARTITION BY RANGE (ts)
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Node",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("publisher", models.TextField(unique=True)),
                ("role", models.TextField()),
                ("name", models.TextField()),
                (
                    "enabled",
                    models.BooleanField(
                        default=True,
                        help_text="Switched off, it gets no poll orders and what it sends goes to quarantine.",
                    ),
                ),
                ("first_seen", models.DateTimeField(default=django.utils.timezone.now)),
                ("last_seen", models.DateTimeField(default=django.utils.timezone.now)),
                ("last_poll", models.DateTimeField(null=True)),
                ("guests", models.IntegerField(null=True)),
                ("errors", models.JSONField(default=dict)),
                ("dropped", models.JSONField(default=dict)),
            ],
            options={
                "db_table": "node",
                "ordering": ("publisher",),
            },
        ),
        migrations.CreateModel(
            name="ResourceMetadata",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("body", models.TextField()),
                ("document", models.JSONField(null=True)),
            ],
            options={
                "db_table": "resource_metadata",
            },
        ),
        migrations.CreateModel(
            name="PollSlot",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("source", models.TextField()),
                ("slot", models.BigIntegerField()),
                ("node", models.TextField()),
                ("shard", models.IntegerField()),
                ("due", models.DateTimeField()),
                ("deadline", models.DateTimeField()),
                ("note", models.TextField(default="")),
                ("parts", models.IntegerField(null=True)),
                (
                    "parts_received",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.SmallIntegerField(), default=list, size=None
                    ),
                ),
                ("received", models.IntegerField(default=0)),
                ("received_at", models.DateTimeField(null=True)),
                ("read_at", models.DateTimeField(null=True)),
                ("samples", models.IntegerField(default=0)),
                ("guests", models.IntegerField(null=True)),
                ("errors", models.JSONField(default=dict)),
            ],
            options={
                "db_table": "poll_slot",
                "indexes": [
                    models.Index(fields=["node", "due"], name="polls_of_node"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("source", "slot", "node", "shard"), name="poll_expected_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Quarantine",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("batch", "Batch"),
                            ("message", "Message"),
                            ("notification", "Notification"),
                        ],
                        max_length=12,
                    ),
                ),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("body", models.BinaryField()),
                ("reason", models.TextField()),
                ("publisher", models.TextField(default="")),
                ("details", models.JSONField(default=dict)),
                ("first_seen", models.DateTimeField(default=django.utils.timezone.now)),
                ("last_seen", models.DateTimeField(default=django.utils.timezone.now)),
                ("count", models.IntegerField(default=1)),
                (
                    "state",
                    models.CharField(
                        choices=[("kept", "Kept"), ("replayed", "Replayed")], default="kept", max_length=10
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "quarantine",
                "db_table": "quarantine",
                "indexes": [models.Index(fields=["-last_seen"], name="quarantine_by_time")],
            },
        ),
        migrations.CreateModel(
            name="Series",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("tag", models.BigIntegerField(db_index=True)),
                ("source", models.TextField()),
                ("meter", models.TextField()),
                ("type", models.TextField()),
                ("unit", models.TextField()),
                ("resource_id", models.TextField()),
                ("user_id", models.TextField(null=True)),
                ("project_id", models.TextField(null=True)),
            ],
            options={
                "verbose_name": "meter",
                "db_table": "series",
                "indexes": [
                    models.Index(fields=["resource_id", "meter"], name="series_of_resource"),
                    models.Index(fields=["project_id", "meter"], name="series_of_project"),
                    models.Index(fields=["meter", "resource_id"], name="series_of_meter"),
                ],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(CREATE_SAMPLE_ORIGINAL, "DROP TABLE sample_original")],
            state_operations=[
                migrations.CreateModel(
                    name="SampleOriginal",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "series_id",
                                "ts",
                                "message_id",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("ts", models.DateTimeField()),
                        ("message_id", models.UUIDField()),
                        ("body", models.TextField()),
                        (
                            "series",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="metering.series",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "sample_original",
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name="ForeignId",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "message_id",
                        "series_id",
                        "ts",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("message_id", models.UUIDField()),
                ("ts", models.DateTimeField()),
                (
                    "series",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="metering.series",
                    ),
                ),
            ],
            options={
                "db_table": "foreign_id",
            },
        ),
        migrations.CreateModel(
            name="Signer",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("scheme", models.TextField()),
                ("kid", models.TextField()),
                ("publisher", models.TextField()),
            ],
            options={
                "db_table": "signer",
                "constraints": [models.UniqueConstraint(fields=("scheme", "kid", "publisher"), name="signer_once")],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(CREATE_SAMPLE, "DROP TABLE sample")],
            state_operations=[
                migrations.CreateModel(
                    name="Sample",
                    fields=[
                        ("ts", models.DateTimeField()),
                        ("volume", models.FloatField()),
                        ("recorded_at", models.DateTimeField()),
                        ("signature", models.BinaryField(max_length=32)),
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "series_id",
                                "ts",
                                "message_id",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("message_id", models.UUIDField()),
                        (
                            "metadata",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="metering.resourcemetadata",
                            ),
                        ),
                        (
                            "series",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="samples",
                                to="metering.series",
                            ),
                        ),
                        (
                            "signer",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="metering.signer",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "sample",
                    },
                ),
            ],
        ),
        migrations.CreateModel(
            name="Token",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(help_text="Who holds it, and for what.", max_length=200)),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("user_id", models.TextField(blank=True, null=True)),
                ("project_id", models.TextField(blank=True, null=True)),
                ("is_admin", models.BooleanField(default=False, help_text="May read every project.")),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("expires", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "token",
                "ordering": (models.OrderBy(models.F("created"), descending=True),),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("is_admin", True), ("project_id__isnull", False), _connector="OR"),
                        name="token_sees_a_project_or_all",
                        violation_error_message="A token is an admin's, or bound to a project.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Resource",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("source", models.TextField()),
                ("resource_id", models.TextField()),
                ("user_id", models.TextField(null=True)),
                ("project_id", models.TextField(null=True)),
                ("first_sample", models.DateTimeField()),
                ("last_sample", models.DateTimeField()),
                ("publisher", models.TextField()),
                ("moves", models.IntegerField(default=0)),
                (
                    "metadata",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="metering.resourcemetadata",
                    ),
                ),
            ],
            options={
                "db_table": "resource",
                "indexes": [
                    models.Index(fields=["project_id", "resource_id"], name="resource_of_project"),
                ],
                "constraints": [models.UniqueConstraint(fields=("resource_id", "source"), name="resource_of_source")],
            },
        ),
    ]
