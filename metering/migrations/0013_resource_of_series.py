"""A series says which row is its resource's, by columns that it has already."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0012_token_use")]

    operations = [
        migrations.AddField(
            model_name="series",
            name="resource",
            field=models.ForeignObject(
                from_fields=("resource_id", "source"),
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="series",
                to="metering.resource",
                to_fields=("resource_id", "source"),
            ),
        ),
    ]
