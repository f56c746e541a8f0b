"""How far each node's clock is off."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0002_admin")]

    operations = [
        migrations.AddField("node", "skew", models.FloatField(null=True)),
        migrations.AddField("node", "skew_at", models.DateTimeField(null=True)),
    ]
