"""Digests of each day's samples, an index that finds what was recorded since the last one, and one of metadata."""

import django.contrib.postgres.indexes
from django.db import migrations, models

# Rows of a day mostly lie in the order in which they were recorded, and late ones at its end: the index is a few pages.
CREATE_INDEX = "CREATE INDEX sample_recorded ON sample USING brin (recorded_at)"
# TRUNCATE is left to whoever owns the database, who could rewrite everything anyhow: an exported head shows that.
KEEP_DIGESTS = """
CREATE FUNCTION keep_digests() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'sample_digest is append-only'; END $$;
CREATE TRIGGER keep_digests BEFORE UPDATE OR DELETE ON sample_digest
FOR EACH ROW EXECUTE FUNCTION keep_digests()
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0006_rollups")]

    operations = [
        migrations.CreateModel(
            name="Digest",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("generation", models.IntegerField()),
                ("kind", models.TextField(choices=[("samples", "Samples"), ("dropped", "Dropped")])),
                ("after", models.DateTimeField(null=True)),
                ("until", models.DateTimeField()),
                ("samples", models.BigIntegerField()),
                ("hash", models.BinaryField(max_length=32)),
                ("previous", models.BinaryField(max_length=32)),
                ("digest", models.BinaryField(max_length=32)),
                ("signature", models.TextField()),
            ],
            options={
                "db_table": "sample_digest",
                "constraints": [
                    models.UniqueConstraint(fields=("day", "generation"), name="digest_of_generation"),
                ],
            },
        ),
        migrations.RunSQL(KEEP_DIGESTS, "DROP FUNCTION keep_digests CASCADE"),
        migrations.RunSQL(CREATE_INDEX, "DROP INDEX sample_recorded"),
        migrations.AddIndex(
            model_name="resourcemetadata",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["document"], name="metadata_by_document", opclasses=["jsonb_path_ops"]
            ),
        ),
    ]
