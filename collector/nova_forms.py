"""The two forms in which nova tells the same, on topics of their own; METERING_NOVA_NOTIFICATIONS says which counts."""

from __future__ import annotations

import re

UNVERSIONED, VERSIONED = "unversioned", "versioned"
TOPICS = {UNVERSIONED: ("notifications.info",), VERSIONED: ("versioned_notifications.info",)}

# What a form says of instances and hosts. http.request and the like have one form only, and are of neither.
_EVENT_TYPES = {
    UNVERSIONED: re.compile(r"compute\.(?!exception)|scheduler\.run_instance\."),
    VERSIONED: re.compile(r"(?:instance|metrics|service|flavor|server_group|compute_task)\.|compute\.exception"),
}


def other_form(form: str) -> str:
    """The one of the two that this is not."""
    return VERSIONED if form == UNVERSIONED else UNVERSIONED


def other_than(form: str) -> tuple[tuple[str, ...], re.Pattern[str]]:
    """The topics and event types of the form that is not metered, when ``form`` is."""
    other = other_form(form)
    return TOPICS[other], _EVENT_TYPES[other]


def form_of(event_type: str) -> str | None:
    """Which form an event type is of; None for what has one form only."""
    return next((form for form, wanted in _EVENT_TYPES.items() if wanted.match(event_type)), None)
