"""What became of each day of samples, and an index that finds the foreign ids of expired ones."""

import django.contrib.postgres.indexes
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0007_digests")]

    operations = [
        migrations.CreateModel(
            name="LedgerDay",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                ("closed_at", models.DateTimeField(null=True)),
                ("closed_rows", models.BigIntegerField(null=True)),
                ("archived_at", models.DateTimeField(null=True)),
                ("archive", models.TextField(default="")),
                ("archive_rows", models.BigIntegerField(null=True)),
                ("archive_digest", models.TextField(default="")),
                ("dropped_at", models.DateTimeField(null=True)),
                ("dropped_rows", models.BigIntegerField(null=True)),
                ("dropped_bytes", models.BigIntegerField(null=True)),
            ],
            options={"db_table": "ledger_day", "ordering": ("day",)},
        ),
        migrations.AddIndex(
            model_name="foreignid",
            index=django.contrib.postgres.indexes.BrinIndex(fields=["ts"], name="foreign_id_by_time"),
        ),
    ]
