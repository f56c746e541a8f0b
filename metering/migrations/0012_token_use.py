"""The day on which a token was last used."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0011_told_metadata")]

    operations = [
        migrations.AddField(
            model_name="token",
            name="last_used",
            field=models.DateField(blank=True, help_text="The day; blank until one after it was made.", null=True),
        ),
    ]
