"""Samples as the admin reads them."""

from __future__ import annotations

from django.db import models

from metering.locator import Locator
from metering.models.ledger import SampleFields, Series


class SampleRow(SampleFields):
    """A row of the table ``sample``, for Django's admin, which refuses composite keys.

    That ``message_id`` is its key is said, not true: find one by its `locator` only.
    """

    message_id = models.UUIDField(primary_key=True)
    series = models.ForeignKey(Series, models.DO_NOTHING, db_constraint=False, related_name="+")

    class Meta:
        managed = False
        db_table = "sample"
        default_permissions = ("view",)
        verbose_name = "sample"

    def __str__(self) -> str:
        return str(self.message_id)

    @property
    def locator(self) -> Locator:
        return Locator(self.series_id, self.ts, self.message_id)
