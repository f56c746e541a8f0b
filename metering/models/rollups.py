"""What a series' samples of an hour, and of a day, add up to. ``metering.store.rollups`` is the only writer."""

from __future__ import annotations

from django.db import models

from metering.models.ledger import Series


class RollUp(models.Model):
    """One series' samples in one span of time: what is known of them together."""

    series = models.ForeignKey(Series, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    count = models.BigIntegerField()
    sum = models.FloatField()  # added up in the order of (ts, message_id)
    min = models.FloatField()
    max = models.FloatField()
    first_at = models.DateTimeField()
    first_volume = models.FloatField()
    last_at = models.DateTimeField()
    last_volume = models.FloatField()
    m2 = models.FloatField()  # squares of the differences from the mean, added up
    increase = models.FloatField()  # of each sample over the one before in the span; after a drop, from zero
    resets = models.BigIntegerField()  # drops
    gap = models.FloatField()  # seconds between two samples in a row, at most

    class Meta:
        abstract = True


class SampleHour(RollUp):
    """An hour of one series, UTC."""

    pk = models.CompositePrimaryKey("series_id", "hour")
    hour = models.DateTimeField()

    class Meta:
        db_table = "sample_hour"

    def __str__(self) -> str:
        return f"{self.series_id} at {self.hour}"


class SampleDay(RollUp):
    """A day of one series, UTC, put together from its hours."""

    pk = models.CompositePrimaryKey("series_id", "day")
    day = models.DateTimeField()  # its midnight

    class Meta:
        db_table = "sample_day"

    def __str__(self) -> str:
        return f"{self.series_id} on {self.day}"
