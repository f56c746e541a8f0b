"""What became of each day of samples. Written by ``metering.store``."""

from __future__ import annotations

from django.db import models


class LedgerDay(models.Model):
    """A day (UTC) that was closed, archived or dropped; one to which nothing happened yet has no row."""

    day = models.DateField(primary_key=True)
    closed_at = models.DateTimeField(null=True)
    closed_rows = models.BigIntegerField(null=True)  # how many there were; late ones come on top
    archived_at = models.DateTimeField(null=True)
    archive = models.TextField(default="")  # the file's name
    archive_rows = models.BigIntegerField(null=True)
    archive_digest = models.TextField(default="")  # SHA-256 of the file, in hex
    dropped_at = models.DateTimeField(null=True)
    dropped_rows = models.BigIntegerField(null=True)  # as PostgreSQL estimated them
    dropped_bytes = models.BigIntegerField(null=True)

    class Meta:
        db_table = "ledger_day"
        ordering = ("day",)

    def __str__(self) -> str:
        return self.day.isoformat()
