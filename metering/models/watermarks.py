"""How far the store has got. Written by ``metering.store.watermarks``."""

from __future__ import annotations

from django.db import models

from metering.models.ledger import Series


class RollupState(models.Model):
    """One row, or none before the first roll-up; each mark only moves forward (see metering/store/watermarks.py)."""

    id = models.SmallIntegerField(primary_key=True)
    rolled = models.DateTimeField()  # hourly and daily roll-ups hold every hour before it
    closing = models.DateTimeField()  # samples before it are noted in ``late``
    raw_from = models.DateTimeField()  # samples before it have expired
    cut = models.DateTimeField(null=True)  # no later row is recorded before it

    class Meta:
        db_table = "rollup_state"
        constraints = (models.CheckConstraint(condition=models.Q(id=1), name="one_rollup_state"),)

    def __str__(self) -> str:
        return f"rolled up to {self.rolled:%Y-%m-%d %H:%M}"


class Late(models.Model):
    """An hour of a series that got a sample after it was closed: its roll-up is to be made again."""

    pk = models.CompositePrimaryKey("series_id", "hour")  # said, not true: the table has no key, and repeats
    series = models.ForeignKey(Series, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    hour = models.DateTimeField()

    class Meta:
        db_table = "late"

    def __str__(self) -> str:
        return f"{self.series_id} {self.hour:%Y-%m-%d %H:%M}"
