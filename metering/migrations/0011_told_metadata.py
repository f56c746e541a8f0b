"""Which resource has had which metadata, of all samples that are there."""

import django.db.models.deletion
from django.db import migrations, models

_OF_ALL_SAMPLES = """
INSERT INTO told_metadata (metadata_id, resource_id)
SELECT DISTINCT metadata_id, resource_id FROM sample JOIN series ON series.id = series_id
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0010_post_key")]

    operations = [
        migrations.CreateModel(
            name="ToldMetadata",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "metadata_id", "resource_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("resource_id", models.TextField()),
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
            ],
            options={"db_table": "told_metadata"},
        ),
        migrations.RunSQL(_OF_ALL_SAMPLES, migrations.RunSQL.noop),
    ]
