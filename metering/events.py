"""Event and Trait: what happened, as a service said it, in a few named values. Pure Python."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from metering.bounds import parse_timestamp, timestamp_text
from metering.errors import MalformedMessage

LONGEST_NAME = 255  # characters of an event type, of a trait's name and of a message_id
LONGEST_VALUE = 255  # characters of a trait's text
MOST_TRAITS = 200
MOST_RAW = 256 << 10  # characters of a kept notification

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


class TraitType(StrEnum):
    """What a trait's value is; the API's words."""

    STRING = "string"
    INTEGER = "integer"  # of 64 bits
    FLOAT = "float"  # finite
    DATETIME = "datetime"


Value = str | int | float | datetime


@dataclass(frozen=True, slots=True)
class Trait:
    """One named value of an event. Its ``type`` says what ``value`` is: a datetime is aware."""

    name: str
    type: TraitType
    value: Value

    @property
    def text(self) -> str:
        """The one text of the value, from which `read_value` makes it again."""
        if isinstance(self.value, datetime):
            return timestamp_text(self.value)
        return repr(self.value) if self.type == TraitType.FLOAT else str(self.value)


@dataclass(frozen=True, slots=True)
class Event:
    """A notification as it is kept: when and what happened, and its traits, each name once."""

    message_id: str  # the notification's own
    event_type: str
    generated: datetime  # aware: when the service said it
    traits: tuple[Trait, ...]
    raw: str | None = None  # the notification, as canonical JSON


def read_value(type_: TraitType, text: str) -> Value:
    """What `Trait.text` wrote. Raises `MalformedMessage` for any other text."""
    if type_ == TraitType.STRING:
        return text
    if type_ == TraitType.INTEGER:
        if not _INTEGER.fullmatch(text) or not _LEAST <= int(text) <= _MOST:
            raise MalformedMessage(f"{text[:40]!r} is no integer of 64 bits")
        return int(text)
    if type_ == TraitType.FLOAT:
        return _float(text)
    moment = parse_timestamp(text)
    if timestamp_text(moment) != text:
        raise MalformedMessage(f"{text!r} is no time in canonical form")
    return moment


def _float(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    # -0.0 is written as 0.0: a database's document holds no other zero.
    if not math.isfinite(number) or repr(number) != text or text == "-0.0":
        raise MalformedMessage(f"{text[:40]!r} is no finite number in its shortest form")
    return number
