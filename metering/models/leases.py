"""Who does the work that one process at a time does."""

from __future__ import annotations

from django.db import models


class Lease(models.Model):
    """``holder`` does this work until ``until``, unless it renews. ``metering.store.leases`` is the only writer."""

    name = models.TextField(primary_key=True)
    holder = models.TextField()
    until = models.DateTimeField()

    class Meta:
        db_table = "lease"

    def __str__(self) -> str:
        return self.name
