"""What a series' samples of an hour, and of a day, add up to. ``metering.store.rollups`` is the only writer."""

from __future__ import annotations

from django.db import models

from metering.models.ledger import Series

FIGURES = (
    "count", "sum", "min", "max", "first_at", "first_volume", "last_at", "last_volume",
    "m2", "increase", "resets", "gap",
)  # fmt: skip
# From this size on a volume's square, or a sum of such, may overflow: the hour's sum, m2 and increase are infinite,
# and as long as its samples are there it stays in ``late``, so that they are read instead.
LARGE = "1e140::float8"


def mean_of(total: str, count: str) -> str:
    """SQL of an average. PostgreSQL raises an error where a quotient is too small for a float."""
    return f"CASE WHEN abs({total}) < 1e-300 THEN 0 ELSE {total} / {count} END"


def square_of(number: str) -> str:
    """SQL of a square, where PostgreSQL would raise an error for one too small for a float."""
    return f"CASE WHEN abs({number}) < 1e-150 THEN 0 ELSE ({number}) ^ 2 END"


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
