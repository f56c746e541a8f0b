"""When posts with a key first came. Written by ``metering.store.posts``."""

from __future__ import annotations

from django.db import models


class PostKey(models.Model):
    """An Idempotency-Key of a caller's: samples that were posted without a time have this one, also when repeated."""

    digest = models.BinaryField(primary_key=True, max_length=32)  # SHA-256 of caller and key
    moment = models.DateTimeField()

    class Meta:
        db_table = "post_key"
        indexes = (models.Index(fields=("moment",), name="post_key_by_time"),)  # finds those that are forgotten

    def __str__(self) -> str:
        return f"first at {self.moment:%Y-%m-%d %H:%M:%S}"
