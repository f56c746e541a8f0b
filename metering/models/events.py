"""Events and their traits. ``metering.store.events`` is the only writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.postgres.indexes import GinIndex
from django.db import models

from metering.events import Trait, TraitType, read_value
from metering.models.event_queries import TYPES_BY_LETTER, EventQuerySet, key_of
from metering.models.ledger import Signer

if TYPE_CHECKING:
    from collections.abc import Iterable


class EventType(models.Model):
    """The name of what happens, once for all its events."""

    name = models.TextField(unique=True)

    class Meta:
        db_table = "event_type"

    def __str__(self) -> str:
        return self.name


class EventTrait(models.Model):
    """That events of this type have had such a trait: a listing of traits reads no event."""

    event_type = models.ForeignKey(EventType, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    name = models.TextField()
    type = models.CharField(max_length=8)  # of TraitType

    class Meta:
        db_table = "event_trait"
        constraints = (models.UniqueConstraint(fields=("event_type", "name", "type"), name="event_trait_once"),)

    def __str__(self) -> str:
        return f"{self.name} ({self.type})"


class Event(models.Model):
    """What happened, as a service said it. Written once, never changed.

    The table is partitioned by day of ``generated``, and ``message_id`` is unique within each day: that it is the
    key of the whole is said for Django, which wants one.
    ``traits`` is one flat object, {"s:host": "n1", "i:vcpus": 2}: so type and name are one entry of its index, and an
    event is found by its value or, for a comparison, among those that have such a trait at all.
    """

    message_id = models.UUIDField(primary_key=True)
    generated = models.DateTimeField()
    event_type = models.ForeignKey(EventType, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    project_id = models.TextField(null=True)  # the trait of this name: who may see the event
    traits = models.JSONField()
    raw = models.TextField(null=True)  # the notification as canonical JSON, where it was to be kept
    given_id = models.TextField(null=True)  # a message_id that is no UUID, as it came
    recorded_at = models.DateTimeField()
    signer = models.ForeignKey(Signer, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    signature = models.BinaryField(max_length=32)

    objects = EventQuerySet.as_manager()

    class Meta:
        db_table = "event"
        indexes = (
            models.Index(fields=("generated", "message_id"), name="events_by_time"),
            models.Index(fields=("event_type", "generated", "message_id"), name="events_of_type"),
            models.Index(fields=("project_id", "generated", "message_id"), name="events_of_project"),
            GinIndex(fields=("traits",), name="events_by_trait"),
        )

    def __str__(self) -> str:
        return self.shown_id

    @property
    def shown_id(self) -> str:
        """Its message_id as it came."""
        return self.given_id or str(self.message_id)

    def trait_list(self) -> list[Trait]:
        """Its traits, by name."""
        return sorted((_trait(key, value) for key, value in self.traits.items()), key=lambda trait: trait.name)


def document(traits: Iterable[Trait]) -> dict[str, Any]:
    """These traits as the column holds them."""
    return {
        key_of(trait.type, trait.name): trait.text if trait.type == TraitType.DATETIME else trait.value
        for trait in traits
    }


def _trait(key: str, value: Any) -> Trait:
    letter, _, name = key.partition(":")
    type_ = TYPES_BY_LETTER[letter]
    if type_ == TraitType.FLOAT:
        return Trait(name, type_, float(value))
    return Trait(name, type_, read_value(type_, value) if type_ == TraitType.DATETIME else value)
