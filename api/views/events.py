"""``/v2/events`` and ``/v2/event_types``: what happened, and which kinds of it there are."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from api import filters
from api.described import one, rows
from api.errors import missing
from api.event_filters import read_event_query
from api.listing import PAGING, Listing
from api.permissions import check_admin
from api.serializers import EventSerializer, shown_trait
from api.views.base import LIMIT, LedgerView, ListingView
from metering.identity import stored_id
from metering.models import Event, EventTrait, EventType
from metering.models.event_queries import event_page


class EventsView(ListingView):
    """Events, oldest first."""

    rule = "telemetry:events:index"
    known = filters.ARGUMENTS | PAGING
    answers = rows("Event")

    def get(self, request: Request) -> HttpResponseBase:
        arguments = self.arguments()
        found = Event.objects.visible_to(self.caller).matching(read_event_query(arguments))
        return self.answer(Listing(EventSerializer, partial(event_page, found), (datetime, UUID)), arguments)


class EventView(LedgerView):
    """One event."""

    rule = "telemetry:events:show"
    answers = one("Event")

    def get(self, request: Request, message_id: str) -> Response:
        self.arguments()
        found = Event.objects.visible_to(self.caller).filter(message_id=stored_id(message_id))
        event = found.oldest_first().first()
        if event is None:
            raise missing("Event", message_id)
        return Response(EventSerializer(event).data)


class EventTypesView(LedgerView):
    """The names of every event type; for an admin only."""

    rule = "telemetry:event_types:index"
    answers = rows("EventType")

    def get(self, request: Request) -> Response:
        self.arguments()
        check_admin(self.caller)
        return Response(sorted(EventType.objects.values_list("name", flat=True)))


class EventTypeTraitsView(LedgerView):
    """Which traits the events of a type have had; for an admin only. Of an unknown type there are none."""

    rule = "telemetry:traits:index"
    answers = rows("TraitDescription", 404)

    def get(self, request: Request, event_type: str) -> Response:
        self.arguments()
        check_admin(self.caller)
        traits = EventTrait.objects.filter(event_type__name=event_type).order_by("name", "type")
        return Response([{"name": trait.name, "type": trait.type} for trait in traits])


class EventTypeTraitView(LedgerView):
    """A trait's values in the events of a type, oldest first; for an admin only."""

    rule = "telemetry:traits:show"
    known = frozenset({"limit"})
    answers = rows("Trait", 404)

    def get(self, request: Request, event_type: str, trait: str) -> Response:
        arguments = self.arguments()
        check_admin(self.caller)
        limit = arguments.limit(LIMIT)
        events = Event.objects.of_type(event_type).with_trait(trait).oldest_first()[:limit]
        return Response([shown_trait(held) for event in events for held in event.trait_list() if held.name == trait])
