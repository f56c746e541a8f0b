"""``/v1``: the API before this one, for what still asks it. Only questions, and about the same rows as ``/v2``."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.db import DataError
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Fault, missing
from api.rows import moment_text
from api.serializers import MeterSerializer, OldSampleSerializer
from api.v1_query import MOST_ROWS, counted, read_v1_query
from api.views.base import LedgerView, listing
from metering.models import Caller, Series
from metering.models.figures import Figure
from metering.models.newest import newest_samples
from metering.models.originals import ids_given
from metering.models.owners import latest_owners
from metering.models.questions import Question
from metering.models.seen import SeenResource, resources_seen

_NO_DURATION = dict.fromkeys(("start_timestamp", "end_timestamp", "duration"))
_COLUMNS = {"resources": "resource_id", "projects": "project_id", "users": "user_id", "sources": "source"}


class V1View(LedgerView):
    """A view of ``/v1``. The address may name a resource, project, user or source: ``kind`` and ``of``."""

    schema = None  # nothing new shall be written for it

    def question(self, kind: str | None, of: str | None, **equal: str) -> tuple[Question, int | None]:
        """What the address and the parameters ask; 404 for a project that is not the caller's."""
        about: dict[str, str | None] = {**equal}
        if kind is not None:
            about[_COLUMNS[kind]] = of
            if kind == "projects" and not self.caller.is_admin and of != self.caller.project_id:
                raise missing("Project", str(of))
        return read_v1_query(self.request, about)


class V1ResourcesView(V1View):
    """Resources, with their meters."""

    rule = "telemetry:get_resources"

    def get(self, request: Request, kind: str | None = None, of: str | None = None) -> Response:
        question, limit = self.question(kind, of)
        seen = resources_seen(self.caller, question, limit or MOST_ROWS + 1, meters=False)
        counted(len(seen) if limit is None else 0)
        meters = _meters_of(self.caller, question, seen)
        return Response({"resources": [_resource(item, meters[item.resource_id]) for item in seen]})


def _meters_of(caller: Caller, question: Question, seen: list[SeenResource]) -> dict[str, list[dict[str, str]]]:
    meters: dict[str, list[dict[str, str]]] = defaultdict(list)
    found = Series.objects.visible_to(caller).of(question.of_source)
    told = ("resource_id", "meter", "type", "unit")
    of_these = found.filter(resource_id__in={item.resource_id for item in seen}).order_by(*told)
    for resource_id, name, type_, unit in of_these.values_list(*told).distinct():
        meters[resource_id].append({"counter_name": name, "counter_type": type_, "counter_unit": unit})
    return meters


def _resource(seen: SeenResource, meters: list[dict[str, str]]) -> dict[str, Any]:
    first, last = (moment_text(moment) for moment in (seen.first_sample, seen.last_sample))
    return {
        "resource_id": seen.resource_id,
        "project_id": seen.project_id,
        "user_id": seen.user_id,
        "source": seen.source,
        "timestamp": last,
        "first_sample_timestamp": first,
        "last_sample_timestamp": last,
        "metadata": json.loads(seen.metadata),
        "meter": meters,
    }


class V1MeterSerializer(MeterSerializer):
    """A meter of a resource, before it had an id."""

    meter_id = None  # type: ignore[assignment] # so a field is taken away


class V1MetersView(V1View):
    """Meters of everything, or of one resource, project, user or source."""

    rule = "telemetry:get_meters"

    def get(self, request: Request, kind: str | None = None, of: str | None = None) -> Response:
        question, limit = self.question(kind, of)
        found = Series.objects.visible_to(self.caller).matching(question)
        meters = latest_owners(found, limit or MOST_ROWS + 1)
        counted(len(meters) if limit is None else 0)
        return Response({"meters": listing(V1MeterSerializer, meters).data})


class V1SamplesView(V1View):
    """The samples of a meter, newest first. Their list is called events, as it always was."""

    rule = "telemetry:get_samples"

    def get(self, request: Request, kind: str, of: str, meter: str) -> Response:
        question, limit = self.question(kind, of, meter=meter)
        samples = newest_samples(self.caller, question, limit or MOST_ROWS + 1)
        counted(len(samples) if limit is None else 0)
        return Response({"events": listing(OldSampleSerializer, samples, ids=ids_given(samples)).data})


class V1DurationView(V1View):
    """From when to when a resource had samples of a meter, within the span of time that was asked for."""

    rule = "telemetry:compute_statistics"

    def get(self, request: Request, kind: str, of: str, meter: str) -> Response:
        question, _ = self.question(kind, of, meter=meter)
        rows = Series.objects.visible_to(self.caller).statistics(question, [Figure("count")])
        if not rows:
            return Response(_NO_DURATION)
        start, end = question.window.start, question.window.end  # as asked for: search_offset only looks beyond it
        first = datetime.fromtimestamp(min(row.first for row in rows), UTC)
        last = datetime.fromtimestamp(max(row.last for row in rows), UTC)
        first, last = max(first, start or first), min(last, end or last)
        if first > last:
            return Response(_NO_DURATION)
        shown = moment_text
        duration = (last - first).total_seconds()
        return Response({"start_timestamp": shown(first), "end_timestamp": shown(last), "duration": duration})


class V1VolumeView(V1View):
    """The largest volume of a meter's samples, or all of them added up."""

    rule = "telemetry:compute_statistics"

    def get(self, request: Request, kind: str, of: str, meter: str, function: str) -> Response:
        question, _ = self.question(kind, of, meter=meter)
        try:
            rows = Series.objects.visible_to(self.caller).statistics(question, [Figure(function)])
        except DataError as exc:
            raise Fault("The volumes are too large to be added up") from exc
        volumes = [volume for row in rows for volume in row.figures if volume is not None]
        together = max if function == "max" else sum
        return Response({"volume": together(volumes) if volumes else None})


class V1OwnersView(V1View):
    """Ids of projects, of everything or of one source."""

    rule = "telemetry:get_projects"
    named: ClassVar[str] = "projects"

    def get(self, request: Request, kind: str | None = None, of: str | None = None) -> Response:
        question, limit = self.question(kind, of)
        found = Series.objects.visible_to(self.caller).matching(question)
        ids = found.values_in(_COLUMNS[self.named])[: limit or MOST_ROWS + 1]
        counted(len(ids) if limit is None else 0)
        return Response({self.named: self.shown(list(ids))})

    def shown(self, ids: list[str]) -> list[str]:
        return ids


class V1UsersView(V1OwnersView):
    """Ids of users; nobody but an admin sees another than himself."""

    rule = "telemetry:get_users"
    named = "users"

    def shown(self, ids: list[str]) -> list[str]:
        return [id_ for id_ in ids if self.caller.is_admin or id_ == self.caller.user_id]


class V1SourceView(LedgerView):
    """What is known of a source, which is nothing."""

    rule = "telemetry:get_source"
    schema = None

    def get(self, request: Request, of: str) -> Response:
        self.arguments()
        return Response({})
