"""What the fields of a metering message may be. Pure Python; plugin hosts and storage workers check alike."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from metering.counters import Kind
from metering.errors import BadCounter, MalformedMessage

LONGEST_TEXT = 1_024  # characters of an id, meter, unit or source
MOST_TEXT_BYTES = 1_300  # their UTF-8 form: two of them fit into one entry of a database index
_KINDS = tuple(Kind)


def timestamp_text(moment: datetime) -> str:
    """The one way we write a time: UTC, microseconds, ``+00:00``. Raises `BadCounter` for a naive one."""
    if not isinstance(moment, datetime):
        raise BadCounter(f"the timestamp is no datetime but {type(moment).__name__}")
    if moment.tzinfo is None:
        raise BadCounter(f"the timestamp {moment} has no time zone")
    try:
        return moment.astimezone(UTC).isoformat(timespec="microseconds")
    except OverflowError as exc:
        raise BadCounter(f"the timestamp {moment} lies beyond the calendar") from exc


def parse_timestamp(text: object) -> datetime:
    """Any ISO 8601 time, as UTC; one without a zone is UTC. Raises `MalformedMessage`."""
    if not isinstance(text, str) or not 10 <= len(text) <= 40:
        raise MalformedMessage("timestamp must be an ISO 8601 text")
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise MalformedMessage(f"timestamp {text!r} is not an ISO 8601 time") from exc


def check_text(name: str, value: object, *, empty: bool = False, null: bool = False) -> None:
    """An id, a meter, a unit, a source: raises `MalformedMessage`, naming the field, where it is out of bounds."""
    if isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and value.isascii() and "\0" not in value:
        return  # nearly every text, found out in the least time
    if value is None and null:
        return
    if not isinstance(value, str):
        raise MalformedMessage(f"{name} must be text, not {type(value).__name__}")
    if not value and not empty:
        raise MalformedMessage(f"{name} is empty")
    if len(value) > LONGEST_TEXT or len(value.encode("utf-8", "replace")) > MOST_TEXT_BYTES:
        raise MalformedMessage(f"{name} is longer than {LONGEST_TEXT} characters or {MOST_TEXT_BYTES} bytes")
    if "\0" in value:
        raise MalformedMessage(f"{name} holds a NUL")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise MalformedMessage(f"{name} holds a lone surrogate")


def check_series(
    name: object, type_: object, unit: object, user_id: object, project_id: object, resource_id: object
) -> None:
    """What the fields of a message that do not change from sample to sample may be. Raises `MalformedMessage`."""
    check_text("counter_name", name)
    check_text("counter_unit", unit, empty=True)
    check_text("user_id", user_id, empty=True, null=True)
    check_text("project_id", project_id, empty=True, null=True)
    check_text("resource_id", resource_id)
    if type_ not in _KINDS:
        raise MalformedMessage(f"counter_type must be gauge, delta or cumulative, not {str(type_)[:40]!r}")


def check_volume(volume: object) -> float:
    """A finite number, as a float. Raises `MalformedMessage`."""
    if isinstance(volume, bool) or not isinstance(volume, int | float):
        raise MalformedMessage(f"counter_volume must be a number, not {type(volume).__name__}")
    try:
        number = float(volume)
    except OverflowError as exc:
        raise MalformedMessage("counter_volume is too large for a double") from exc
    if not math.isfinite(number):
        raise MalformedMessage(f"counter_volume must be finite, not {number}")
    return number
