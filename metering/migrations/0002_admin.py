"""The admin's view of samples (no table of its own), and the index for polls by time."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0001_ledger")]

    operations = [
        migrations.CreateModel(
            name="SampleRow",
            fields=[
                ("ts", models.DateTimeField()),
                ("volume", models.FloatField()),
                ("recorded_at", models.DateTimeField()),
                ("signature", models.BinaryField(max_length=32)),
                ("message_id", models.UUIDField(primary_key=True, serialize=False)),
            ],
            options={
                "verbose_name": "sample",
                "db_table": "sample",
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.AlterModelOptions(name="pollslot", options={"verbose_name": "poll"}),
        migrations.AddIndex(
            model_name="pollslot",
            index=models.Index(fields=["due"], name="polls_by_time"),
        ),
    ]
