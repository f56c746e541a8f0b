"""How far the store has got, which hours got a sample after they were closed, and when a resource was told anew."""

import django.db.models.deletion
from django.db import migrations, models

# Django knows no table without a key.
CREATE_LATE = "CREATE TABLE late (series_id bigint NOT NULL, hour timestamptz NOT NULL)"


class Migration(migrations.Migration):
    dependencies = [("metering", "0004_events")]

    operations = [
        migrations.CreateModel(
            name="RollupState",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("rolled", models.DateTimeField()),
                ("closing", models.DateTimeField()),
                ("raw_from", models.DateTimeField()),
                ("cut", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "rollup_state",
                "constraints": [models.CheckConstraint(condition=models.Q(id=1), name="one_rollup_state")],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(CREATE_LATE, "DROP TABLE late")],
            state_operations=[
                migrations.CreateModel(
                    name="Late",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "series_id", "hour", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("hour", models.DateTimeField()),
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
                    options={"db_table": "late"},
                ),
            ],
        ),
        migrations.AddField("resource", "revision", models.BigIntegerField(db_default=0)),
        # Each poll moves last_sample: with room on its page, a row stays where it is and no index changes.
        migrations.RunSQL("ALTER TABLE resource SET (fillfactor = 70)", "ALTER TABLE resource RESET (fillfactor)"),
    ]
