"""When posts with an Idempotency-Key first came."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0009_narrow_ids")]

    operations = [
        migrations.CreateModel(
            name="PostKey",
            fields=[
                ("digest", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
                ("moment", models.DateTimeField()),
            ],
            options={
                "db_table": "post_key",
                "indexes": [models.Index(fields=["moment"], name="post_key_by_time")],
            },
        ),
    ]
