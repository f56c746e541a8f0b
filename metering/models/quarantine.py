"""What could not be stored, with its reason."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Quarantine(models.Model):
    """A batch, a message or a notification as it came, and why it was refused.

    The same body twice is one row with a higher count: ``digest`` is the SHA-256 of kind, NUL and body.
    """

    class Kind(models.TextChoices):
        """What was refused."""

        BATCH = "batch"
        MESSAGE = "message"
        NOTIFICATION = "notification"

    class State(models.TextChoices):
        """What became of it."""

        KEPT = "kept"
        REPLAYED = "replayed"

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    digest = models.BinaryField(max_length=32, unique=True)
    body = models.BinaryField()
    reason = models.TextField()
    publisher = models.TextField(default="")  # by its own word: what is here was not believed
    details = models.JSONField(default=dict)  # of a dead letter: exchange, routing key, content type, event type
    first_seen = models.DateTimeField(default=timezone.now)
    last_seen = models.DateTimeField(default=timezone.now)
    count = models.IntegerField(default=1)
    state = models.CharField(max_length=10, choices=State.choices, default=State.KEPT)

    class Meta:
        db_table = "quarantine"
        verbose_name_plural = "quarantine"
        indexes = (models.Index(fields=("-last_seen",), name="quarantine_by_time"),)

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason[:80]}"
