"""What proves that no stored day was changed or shortened. Written by ``metering.store.digests``."""

from __future__ import annotations

from django.db import models


class Digest(models.Model):
    """A generation of a day's samples, or that the day expired; a link of one chain. Never changed.

    docs/audit.md tells its form, and how to recompute it.
    """

    class Kind(models.TextChoices):
        SAMPLES = "samples"
        DROPPED = "dropped"

    number = models.BigIntegerField(primary_key=True)  # from 1, none left out
    day = models.DateField()  # UTC, of the samples' own time
    generation = models.IntegerField()  # of the day, from 1
    kind = models.TextField(choices=Kind)
    after = models.DateTimeField(null=True)  # samples recorded at or after; null: from the first on
    until = models.DateTimeField()  # samples recorded before
    samples = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)
    previous = models.BinaryField(max_length=32)  # digest of the row before; zeros in the first
    digest = models.BinaryField(max_length=32)
    signature = models.TextField()

    class Meta:
        db_table = "sample_digest"
        constraints = (models.UniqueConstraint(fields=("day", "generation"), name="digest_of_generation"),)

    def __str__(self) -> str:
        return f"{self.day} generation {self.generation}"
