"""Who publishes, and which polls were expected and received."""

from __future__ import annotations

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from metering.models.paging import Key, Page, cut


class NodeQuerySet(models.QuerySet["Node"]):
    """Nodes."""

    def with_wrong_clocks(self, bound: float) -> NodeQuerySet:
        """Those whose clocks are off by more than ``bound`` seconds."""
        return self.filter(Q(skew__gt=bound) | Q(skew__lt=-bound))


class Node(models.Model):
    """A publisher, known since its first genuine batch. A compute host is one; all central workers are one."""

    publisher = models.TextField(unique=True)  # <role>/<name>
    role = models.TextField()
    name = models.TextField()
    enabled = models.BooleanField(
        default=True, help_text="Switched off, it gets no poll orders and what it sends goes to quarantine."
    )
    first_seen = models.DateTimeField(default=timezone.now)
    last_seen = models.DateTimeField(default=timezone.now)  # the last genuine batch, of samples or none
    last_poll = models.DateTimeField(null=True)  # read_at of the last poll received
    guests = models.IntegerField(null=True)  # seen in the last poll
    errors = models.JSONField(default=dict)  # of the last poll: pollster -> its errors' count
    dropped = models.JSONField(default=dict)  # what the host's spool had to drop since it was made
    # By how many seconds its clock is ahead (above 0) or behind (below 0) at least; 0: as far as can be told, right.
    skew = models.FloatField(null=True)
    skew_at = models.DateTimeField(null=True)  # when that was found

    objects = NodeQuerySet.as_manager()

    class Meta:
        db_table = "node"
        ordering = ("publisher",)

    def __str__(self) -> str:
        return self.publisher


RECEIVED, MISSED, EXPECTED = "received", "missed", "expected"
STATES = (EXPECTED, MISSED, RECEIVED)
_WHOLE = Q(parts__isnull=False, received=models.F("parts"))


class PollSlotQuerySet(models.QuerySet["PollSlot"]):
    """Polls."""

    def closed(self, now: datetime | None = None) -> PollSlotQuerySet:
        """Those whose deadline has passed: what was not received by then is a gap, unless it comes late."""
        return self.filter(deadline__lt=now or timezone.now())

    def missed(self, now: datetime | None = None) -> PollSlotQuerySet:
        """Expected and, in whole or in part, not received."""
        return self.closed(now).exclude(_WHOLE)

    def in_state(self, state: str) -> PollSlotQuerySet:
        """Those of which `PollSlot.state` says this."""
        now = timezone.now()
        if state == MISSED:
            return self.missed(now)
        return self.filter(_WHOLE) if state == RECEIVED else self.filter(deadline__gte=now).exclude(_WHOLE)


class PollSlot(models.Model):
    """One poll expected of one node (of one shard of the central work), and what came of it."""

    id = models.BigAutoField(primary_key=True)
    source = models.TextField()  # the polling source
    slot = models.BigIntegerField()
    node = models.TextField()
    shard = models.IntegerField()
    due = models.DateTimeField()
    deadline = models.DateTimeField()
    note = models.TextField(default="")  # why no order went out: "not dispatched", "no route"
    parts = models.IntegerField(null=True)  # batches of this poll, by its own word
    parts_received = ArrayField(models.SmallIntegerField(), default=list)
    received = models.IntegerField(default=0)  # how many of the parts
    received_at = models.DateTimeField(null=True)  # the latest of them
    read_at = models.DateTimeField(null=True)
    samples = models.IntegerField(default=0)
    guests = models.IntegerField(null=True)
    errors = models.JSONField(default=dict)

    objects = PollSlotQuerySet.as_manager()

    class Meta:
        db_table = "poll_slot"
        verbose_name = "poll"
        constraints = (models.UniqueConstraint(fields=("source", "slot", "node", "shard"), name="poll_expected_once"),)
        indexes = (
            models.Index(fields=("node", "due"), name="polls_of_node"),
            models.Index(fields=("due",), name="polls_by_time"),  # which polls of the last hour were missed?
        )

    def __str__(self) -> str:
        return f"{self.source} {self.slot} on {self.node}"

    @property
    def state(self) -> str:
        """``received`` when all of it is here; else ``expected`` until its deadline, and then ``missed``: a gap."""
        if self.parts is not None and self.received == self.parts:
            return RECEIVED
        return MISSED if self.deadline < timezone.now() else EXPECTED


def poll_page(found: PollSlotQuerySet, after: Key | None, limit: int) -> Page[PollSlot]:
    """The next ``limit`` of these, the latest due first, behind one of this time and id."""
    if after is not None:
        due, last = after
        found = found.filter(Q(due=due, id__lt=last) | Q(due__lt=due), due__lte=due)
    return cut(found.order_by("-due", "-id"), limit, lambda poll: (poll.due, poll.id))
