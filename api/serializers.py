"""The fields of each answer. They are named and ordered as the original's clients know them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from math import inf
from typing import Any
from urllib.parse import quote

from rest_framework import serializers

from api.rows import FlatMetadata, Moment, RowSerializer, RowsOfOneForm, moment_text, naive_moment
from metering.events import Trait
from metering.models import Event, Sample, Series
from metering.models.figures import Figure
from metering.models.nodes import STATES, PollSlot
from metering.models.questions import Window
from metering.models.seen import SeenResource
from metering.models.statistics import Statistics
from metering.models.usage import Usage
from metering.verifying import Verification


class MeterSerializer(RowSerializer[Series]):
    """A meter of a resource."""

    name = serializers.CharField(source="meter")
    type = serializers.CharField()
    unit = serializers.CharField()
    resource_id = serializers.CharField(allow_null=True)
    project_id = serializers.CharField(allow_null=True)
    user_id = serializers.CharField(allow_null=True)
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment] # a field of this name, not its source
    meter_id = serializers.SerializerMethodField()

    def get_meter_id(self, series: Series) -> str:
        return base64.b64encode(f"{series.resource_id}+{series.meter}".encode()).decode()


class _GivenId(RowSerializer[Sample]):
    """A sample's message_id; a foreign one as it was given: ``context["ids"]`` holds those that the row does not."""

    def given_id(self, sample: Sample) -> str:
        # Not by its property, which looks for the outermost serializer each time.
        given: Mapping[Any, str] = self._context.get("ids", {})
        return (given and given.get(sample.message_id)) or str(sample.message_id)


class OldSampleSerializer(_GivenId):
    """A sample as ``/v2/meters/{name}`` has always shown it."""

    source = serializers.CharField(source="series.source")  # type: ignore[assignment] # a field of this name
    counter_name = serializers.CharField(source="series.meter")
    counter_type = serializers.CharField(source="series.type")
    counter_unit = serializers.CharField(source="series.unit")
    counter_volume = serializers.FloatField(source="volume")
    user_id = serializers.CharField(source="series.user_id", allow_null=True)
    project_id = serializers.CharField(source="series.project_id", allow_null=True)
    resource_id = serializers.CharField(source="series.resource_id")
    timestamp = Moment(source="ts")
    recorded_at = Moment()
    resource_metadata = FlatMetadata(source="metadata.body")
    message_id = serializers.SerializerMethodField(method_name="given_id")


class SampleSerializer(_GivenId):
    """A sample as ``/v2/samples`` shows it."""

    id = serializers.SerializerMethodField(method_name="given_id")
    meter = serializers.CharField(source="series.meter")
    type = serializers.CharField(source="series.type")
    unit = serializers.CharField(source="series.unit")
    volume = serializers.FloatField()
    user_id = serializers.CharField(source="series.user_id", allow_null=True)
    project_id = serializers.CharField(source="series.project_id", allow_null=True)
    resource_id = serializers.CharField(source="series.resource_id")
    source = serializers.CharField(source="series.source")  # type: ignore[assignment] # a field of this name
    timestamp = Moment(source="ts")
    recorded_at = Moment()
    metadata = FlatMetadata(source="metadata.body")


class VerificationSerializer(serializers.BaseSerializer[Verification]):
    """What a sample's signature says. ``context["id"]`` is the sample's."""

    def to_representation(self, instance: Verification) -> dict[str, Any]:
        return {
            "id": self.context["id"],
            "verifies": instance.fault is None,
            "reason": instance.fault,
            "scheme": instance.scheme,
            "kid": instance.kid,
            "publisher": instance.publisher,
            "recorded_at": moment_text(instance.recorded_at),
            "message": instance.message,
            "signed": instance.signed,
            "as_it_came": instance.as_it_came,
        }


@lru_cache(20_000)  # resources, and the names of their meters, which come again and again
def _quoted(name: str) -> str:
    return quote(name, safe="")


class ResourceSerializer(RowSerializer[SeenResource]):
    """A resource. ``context["base"]`` is the address that links start with."""

    nested = frozenset({"links"})

    resource_id = serializers.CharField()
    project_id = serializers.CharField(allow_null=True)
    user_id = serializers.CharField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment] # a field of this name
    first_sample_timestamp = Moment(source="first_sample")
    last_sample_timestamp = Moment(source="last_sample")
    metadata = FlatMetadata()
    links = serializers.SerializerMethodField()

    def get_links(self, resource: SeenResource) -> list[dict[str, str]]:
        base, name = self._context["base"], _quoted(resource.resource_id)
        end = "/" if resource.resource_id.endswith("/") else ""  # for one slash at an address's end is not the id's
        links = [{"rel": "self", "href": f"{base}/v2/resources/{name}{end}"}]
        if self._context["meter_links"]:
            asked = f"?q.field=resource_id&q.value={name}"
            links += [{"rel": meter, "href": f"{base}/v2/meters/{_quoted(meter)}{asked}"} for meter in resource.meters]
        return links


def shown_trait(trait: Trait) -> dict[str, str]:
    """A trait, its value as text."""
    value = trait.value
    text = moment_text(value) if isinstance(value, datetime) else trait.text
    return {"name": trait.name, "type": str(trait.type), "value": text}


class EventSerializer(RowsOfOneForm[Event]):
    """An event with its traits; ``raw`` is an empty object unless the notification was to be kept."""

    def columns(self) -> list[str]:
        return ["message_id", "event_type", "generated", "traits", "raw"]

    def to_representation(self, instance: Event) -> dict[str, Any]:
        return {
            "message_id": instance.shown_id,
            "event_type": instance.event_type.name,
            "generated": moment_text(instance.generated),
            "traits": [shown_trait(trait) for trait in instance.trait_list()],
            "raw": json.loads(instance.raw) if instance.raw is not None else {},
        }


class StatisticsSerializer(RowsOfOneForm[Statistics]):
    """Figures of one unit, group and period.

    ``context``: ``period`` in seconds, ``window`` as asked, ``groups`` and ``figures``; ``selected`` when the caller
    chose the latter.
    """

    def columns(self) -> list[str]:
        """Each group and each selected figure has a column of its own."""
        figures: Sequence[Figure] = self.context["figures"]
        return [
            *(f"groupby.{group}" for group in self.context["groups"]),
            *("unit", "period", "period_start", "period_end", "duration", "duration_start", "duration_end"),
            *(figure.function for figure in figures if figure.is_standard),
            *(f"aggregate.{figure.name}" for figure in figures if self.context["selected"]),
        ]

    def lines(self, found: Sequence[Statistics]) -> list[list[Any]]:
        lines = []
        for row in self.rows(found):
            groups, chosen = row.pop("groupby") or {}, row.pop("aggregate", {})
            values = (value.isoformat() if isinstance(value, datetime) else value for value in row.values())
            lines.append([*groups.values(), *values, *chosen.values()])
        return lines

    def to_representation(self, instance: Statistics) -> dict[str, Any]:
        return self.rows([instance])[0]

    def rows(self, found: Sequence[Statistics]) -> list[dict[str, Any]]:
        figures, groups, period = self.context["figures"], self.context["groups"], self.context["period"]
        aggregated = [figure.name for figure in figures] if self.context["selected"] else []
        standard = [(place, figure.function) for place, figure in enumerate(figures) if figure.is_standard]
        window: Window = self.context["window"]
        start = -inf if window.start is None else window.start.timestamp()
        end = inf if window.end is None else window.end.timestamp()
        rows = []
        for row in found:
            # First and last sample, pulled into the window as it was asked for: search_offset reads beyond it.
            first, last = max(row.first, start), min(row.last, end)
            is_within = first <= last
            shown = {
                "groupby": dict(zip(groups, row.group, strict=True)) if groups else None,
                "unit": row.unit,
                "period": period,
                "period_start": naive_moment(row.start),
                "period_end": naive_moment(row.end),
                "duration": round(last - first, 6) if is_within else None,
                "duration_start": naive_moment(first) if is_within else None,
                "duration_end": naive_moment(last) if is_within else None,
            }
            for place, name in standard:
                shown[name] = row.figures[place]
            if aggregated:
                floats = (None if value is None else float(value) for value in row.figures)
                shown["aggregate"] = dict(zip(aggregated, floats, strict=True))
            rows.append(shown)
        return rows


class PollSerializer(RowSerializer[PollSlot]):
    """A poll that was expected, and what came of it."""

    nested = frozenset({"errors"})

    source = serializers.CharField()  # type: ignore[assignment] # a field of this name, not its source
    slot = serializers.IntegerField()
    node = serializers.CharField()
    shard = serializers.IntegerField()
    due = Moment()
    deadline = Moment()
    state = serializers.ChoiceField(choices=STATES)
    note = serializers.CharField()  # why no order went out
    parts = serializers.IntegerField(allow_null=True)
    received = serializers.IntegerField()  # of the parts
    received_at = Moment(allow_null=True)
    read_at = Moment(allow_null=True)
    samples = serializers.IntegerField()
    guests = serializers.IntegerField(allow_null=True)
    errors = serializers.JSONField()  # type: ignore[assignment] # a field of this name


class UsageSerializer(RowsOfOneForm[Usage]):
    """How much of one kind a group used in one period. ``context``: ``period`` and ``groups``."""

    def columns(self) -> list[str]:
        groups = (f"groupby.{group}" for group in self.context["groups"])
        return [*groups, "period", "period_start", "period_end", "usage", "flavor", "amount", "unit", *_COUNTED]

    def lines(self, found: Sequence[Usage]) -> list[list[Any]]:
        return [[*row.pop("groupby").values(), *row.values()] for row in self.rows(found)]

    def to_representation(self, instance: Usage) -> dict[str, Any]:
        return {
            "groupby": instance.group,
            "period": self.context["period"],
            "period_start": moment_text(instance.start),
            "period_end": moment_text(instance.end),
            "usage": instance.use.name,
            "flavor": instance.flavor,
            "amount": instance.amount,
            "unit": instance.use.unit,
            **{name: getattr(instance, name) for name in _COUNTED},
        }


_COUNTED = ("resources", "hours", "gap_hours")
