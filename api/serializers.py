"""The fields of each answer. They are named and ordered as the original's clients know them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from rest_framework import serializers

from api.flattening import flatten
from metering.events import Trait
from metering.models import Event, Sample, Series
from metering.models.seen import SeenResource
from metering.models.statistics import Statistics
from metering.verifying import Verification


class Moment(serializers.Field[datetime, None, str, Any]):
    """A time in UTC without a zone; microseconds only where there are any."""

    def to_representation(self, value: datetime) -> str:
        return value.astimezone(UTC).replace(tzinfo=None).isoformat()


class FlatMetadata(serializers.Field[str, None, dict[str, str], Any]):
    """Metadata from its JSON text."""

    def to_representation(self, value: str) -> dict[str, str]:
        return flatten(value)


class MeterSerializer(serializers.Serializer[Series]):
    """A meter of a resource."""

    name = serializers.CharField(source="meter")
    type = serializers.CharField()
    unit = serializers.CharField()
    resource_id = serializers.CharField(allow_null=True)
    project_id = serializers.CharField(allow_null=True)
    user_id = serializers.CharField(allow_null=True)
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment] # a field of this name, not its source
    meter_id = serializers.SerializerMethodField()

    def get_meter_id(self, series: Series | dict[str, Any]) -> str:
        owner, name = (
            (series["resource_id"], series["meter"]) if isinstance(series, dict) else (series.resource_id, series.meter)
        )
        return base64.b64encode(f"{owner}+{name}".encode()).decode()


class _GivenId(serializers.Field[Sample, None, str, Any]):
    """A sample's message_id; a foreign one as it was given. ``context["ids"]`` holds those."""

    def __init__(self) -> None:
        super().__init__(source="*", read_only=True)

    def to_representation(self, value: Sample) -> str:
        given: dict[Any, str] = self.context["ids"]
        return given.get(value.message_id) or str(value.message_id)


class OldSampleSerializer(serializers.Serializer[Sample]):
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
    message_id = _GivenId()


class SampleSerializer(serializers.Serializer[Sample]):
    """A sample as ``/v2/samples`` shows it."""

    id = _GivenId()
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
            "recorded_at": Moment().to_representation(instance.recorded_at),
            "message": instance.message,
            "signed": instance.signed,
            "as_it_came": instance.as_it_came,
        }


class ResourceSerializer(serializers.Serializer[SeenResource]):
    """A resource. ``context["base"]`` is the address that links start with."""

    resource_id = serializers.CharField()
    project_id = serializers.CharField(allow_null=True)
    user_id = serializers.CharField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment] # a field of this name
    first_sample_timestamp = Moment(source="first_sample")
    last_sample_timestamp = Moment(source="last_sample")
    metadata = FlatMetadata()
    links = serializers.SerializerMethodField()

    def get_links(self, resource: SeenResource) -> list[dict[str, str]]:
        base, name = self.context["base"], quote(resource.resource_id, safe="")
        end = "/" if resource.resource_id.endswith("/") else ""  # for one slash at an address's end is not the id's
        links = [{"rel": "self", "href": f"{base}/v2/resources/{name}{end}"}]
        if self.context["meter_links"]:
            asked = f"q.field=resource_id&q.value={name}"
            links += [
                {"rel": meter, "href": f"{base}/v2/meters/{quote(meter, safe='')}?{asked}"} for meter in resource.meters
            ]
        return links


def shown_trait(trait: Trait) -> dict[str, str]:
    """A trait, its value as text."""
    value = trait.value
    text = Moment().to_representation(value) if isinstance(value, datetime) else trait.text
    return {"name": trait.name, "type": str(trait.type), "value": text}


class EventSerializer(serializers.BaseSerializer[Event]):
    """An event with its traits; ``raw`` is an empty object unless the notification was to be kept."""

    def to_representation(self, instance: Event) -> dict[str, Any]:
        return {
            "message_id": instance.shown_id,
            "event_type": instance.event_type.name,
            "generated": Moment().to_representation(instance.generated),
            "traits": [shown_trait(trait) for trait in instance.trait_list()],
            "raw": json.loads(instance.raw) if instance.raw is not None else {},
        }


class StatisticsSerializer(serializers.BaseSerializer[Statistics]):
    """Figures of one unit, group and period.

    ``context``: ``period`` in seconds, ``window`` as asked, ``selected`` when the caller chose the figures.
    """

    def to_representation(self, instance: Statistics) -> dict[str, Any]:
        first, last = self._within(instance)
        shown: dict[str, Any] = {
            figure.function: value for figure, value in instance.figures.items() if figure.is_standard
        }
        if self.context["selected"]:
            shown["aggregate"] = {
                figure.name: None if value is None else float(value) for figure, value in instance.figures.items()
            }
        return {
            "groupby": instance.group or None,
            "unit": instance.unit,
            "period": self.context["period"],
            "period_start": _moment(instance.start),
            "period_end": _moment(instance.end),
            "duration": None if first is None or last is None else (last - first).total_seconds(),
            "duration_start": _moment(first),
            "duration_end": _moment(last),
            **shown,
        }

    def _within(self, row: Statistics) -> tuple[datetime, datetime] | tuple[None, None]:
        """First and last sample, pulled into the window as it was asked for: search_offset reads beyond it."""
        window = self.context["window"]
        first = max(row.first, window.start) if window.start else row.first
        last = min(row.last, window.end) if window.end else row.last
        return (first, last) if first <= last else (None, None)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else Moment().to_representation(moment)
