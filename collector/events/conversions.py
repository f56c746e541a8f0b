"""From what a payload says to a trait's value: services write one thing in several ways."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from collector.notification import parse_time
from metering.errors import BadEvent, MalformedNotification
from metering.events import LONGEST_VALUE, TraitType, Value

TYPES = {  # as the definitions name them
    "text": TraitType.STRING,
    "int": TraitType.INTEGER,
    "float": TraitType.FLOAT,
    "datetime": TraitType.DATETIME,
}
_MOST = 1 << 63


def convert(type_: TraitType, given: Any) -> Value | None:
    """The value as this type; None where it says nothing. Raises `BadEvent` for what is no such value."""
    if given is None or (given == "" and type_ != TraitType.STRING):
        return None
    try:
        return _CONVERSIONS[type_](given)
    except (ValueError, TypeError, OverflowError, MalformedNotification) as exc:
        raise BadEvent(f"{_shown(given)} is no {type_}") from exc


def _text(given: Any) -> str:
    text = given if isinstance(given, str) else _written(given)
    text = text[:LONGEST_VALUE].replace("\0", "\ufffd")
    # Half of a surrogate pair, which cutting cannot make but an escape in JSON can.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _written(given: Any) -> str:
    return json.dumps(given) if isinstance(given, dict | list) else str(given)


def _integer(given: Any) -> int:
    value = int(given)  # cuts what is behind the point
    if not -_MOST <= value < _MOST:
        raise OverflowError("more than 64 bits")
    return value


def _float(given: Any) -> float:
    value = float(given)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value + 0.0  # makes 0.0 of -0.0, which a database's document cannot tell apart


def _moment(given: Any) -> datetime:
    return parse_time(given)


_CONVERSIONS: dict[TraitType, Callable[[Any], Value]] = {
    TraitType.STRING: _text,
    TraitType.INTEGER: _integer,
    TraitType.FLOAT: _float,
    TraitType.DATETIME: _moment,
}


def _shown(given: Any) -> str:
    """Its beginning, for whoever looks for the fault."""
    return repr(given)[:60] if isinstance(given, str | int | float) else f"a {type(given).__name__}"
