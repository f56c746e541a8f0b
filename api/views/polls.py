"""``/v2/polls``: which polls were expected of which node, and what came of each."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from api import filters
from api.described import rows
from api.errors import invalid_input
from api.listing import PAGING, Listing
from api.permissions import check_admin
from api.serializers import PollSerializer
from api.views.base import ListingView
from metering.models.nodes import STATES, PollSlot, poll_page
from metering.models.questions import column_condition


class PollsView(ListingView):
    """Polls, the latest due first; for an admin only. What is ``missed`` is a gap in the data."""

    rule = "telemetry:get_polls"
    known = filters.ARGUMENTS | PAGING
    fields = filters.Fields(("source",), others=("node", "state"))
    answers = rows("Poll")

    def get(self, request: Request) -> HttpResponseBase:
        arguments = self.arguments()
        check_admin(self.caller)
        query = filters.read_query(arguments, self.fields, self.caller)
        if query.question.metadata:
            raise invalid_input("field", "metadata", "Polls have none")
        state = query.others.get("state")
        if state is not None and state not in STATES:
            raise invalid_input("state", state, f"Value should be one of: {', '.join(STATES)}")
        equal = {**query.question.equal, **({"node": query.others["node"]} if "node" in query.others else {})}
        conditions = (column_condition(name, wanted) for name, wanted in equal.items())
        found = PollSlot.objects.filter(query.question.window.condition("due"), *conditions)
        found = found if state is None else found.in_state(state)
        return self.answer(Listing(PollSerializer, partial(poll_page, found), (datetime, int)), arguments)
