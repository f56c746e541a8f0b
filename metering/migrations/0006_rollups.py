"""Who does the work that one process at a time does; and what samples add up to, by hour and by day."""

import django.db.models.deletion
from django.db import migrations, models

_FIGURES = """
    count bigint NOT NULL,
    sum double precision NOT NULL,
    min double precision NOT NULL,
    max double precision NOT NULL,
    first_at timestamptz NOT NULL,
    first_volume double precision NOT NULL,
    last_at timestamptz NOT NULL,
    last_volume double precision NOT NULL,
    m2 double precision NOT NULL,
    increase double precision NOT NULL,
    resets bigint NOT NULL,
    gap double precision NOT NULL
"""
# Rows come hour by hour, of all series; questions come series by series, of many hours. So the key's index holds
# the whole row: a month of one series is a dozen of its pages, where the table has them on one page each.
_COVERED = """
    INCLUDE (count, sum, min, max, first_at, first_volume, last_at, last_volume, m2, increase, resets, gap)
"""
# Partitions, by month and by year, so that expiry drops them.
_CREATE = """
CREATE TABLE sample_{span} (
    series_id bigint NOT NULL,
    {span} timestamptz NOT NULL,
    {figures},
    PRIMARY KEY (series_id, {span}) {covered}
) PARTITION BY RANGE ({span})
"""


def _create(span: str) -> migrations.RunSQL:
    return migrations.RunSQL(_CREATE.format(span=span, figures=_FIGURES, covered=_COVERED), f"DROP TABLE sample_{span}")


def _model(name: str, span: str) -> migrations.CreateModel:
    series = models.ForeignKey(
        db_constraint=False,
        db_index=False,
        on_delete=django.db.models.deletion.DO_NOTHING,
        related_name="+",
        to="metering.series",
    )
    key = models.CompositePrimaryKey("series_id", span, blank=True, editable=False, primary_key=True, serialize=False)
    return migrations.CreateModel(
        name=name,
        fields=[
            ("count", models.BigIntegerField()),
            ("sum", models.FloatField()),
            ("min", models.FloatField()),
            ("max", models.FloatField()),
            ("first_at", models.DateTimeField()),
            ("first_volume", models.FloatField()),
            ("last_at", models.DateTimeField()),
            ("last_volume", models.FloatField()),
            ("m2", models.FloatField()),
            ("increase", models.FloatField()),
            ("resets", models.BigIntegerField()),
            ("gap", models.FloatField()),
            ("pk", key),
            (span, models.DateTimeField()),
            ("series", series),
        ],
        options={"db_table": f"sample_{span}"},
    )


class Migration(migrations.Migration):
    dependencies = [("metering", "0005_watermarks")]

    operations = [
        migrations.CreateModel(
            name="Lease",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("holder", models.TextField()),
                ("until", models.DateTimeField()),
            ],
            options={"db_table": "lease"},
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[_create("hour")], state_operations=[_model("SampleHour", "hour")]
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[_create("day")], state_operations=[_model("SampleDay", "day")]
        ),
    ]
