"""Samples in the body of a POST: each field checked, and what was left out filled in from the caller."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rest_framework.request import Request

from api.arguments import as_text
from api.errors import Fault, invalid_input, unknown_argument
from api.flattening import restore
from metering.bounds import check_text, check_volume, parse_timestamp
from metering.counters import Counter, Kind
from metering.errors import MalformedMessage
from metering.identity import EPOCH
from metering.models import Caller
from metering.posting import Accepted, Posted
from metering.signing import canonical_metadata

REQUIRED = ("counter_name", "counter_type", "counter_unit", "counter_volume", "resource_id")
FIELDS = frozenset({
    *REQUIRED, "user_id", "project_id", "source", "timestamp", "resource_metadata", "message_id", "recorded_at",
})  # fmt: skip

_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
_LONGEST_KEY = 255
_LONGEST = 200  # characters of a value that an error's text shows


@dataclass(frozen=True, slots=True)
class _Defaults:
    """Whose samples these are, unless they say so."""

    meter: str
    caller: Caller
    source: str


def read_samples(body: Any, meter: str, caller: Caller, source: str) -> tuple[list[Posted], list[dict[str, Any]]]:
    """The samples of a body, and each as it is shown to whoever posted it, but for id and time.

    Raises a 400 for the first that cannot be stored.
    """
    if not body:
        raise Fault("Samples should be included in request body")
    if not isinstance(body, list):
        raise invalid_input("samples", _shown(body), "It must be a list of samples")
    defaults = _Defaults(meter, caller, source)
    read = [_read(given, defaults) for given in body]
    return [posted for posted, _ in read], [shown for _, shown in read]


def idempotency_key(request: Request, caller: Caller) -> str | None:
    """What the caller names his post by, together with who he is; None where he does not. Raises a 400."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 0 < len(key) <= _LONGEST_KEY or not key.isprintable():
        raise Fault(f"The Idempotency-Key must be 1 to {_LONGEST_KEY} printable characters")
    return json.dumps([caller.user_id, caller.project_id, key])


def completed(shown: dict[str, Any], accepted: Accepted) -> dict[str, Any]:
    """A sample as the answer to a POST shows it."""
    timestamp = accepted.timestamp.replace(tzinfo=None).isoformat()
    return {**shown, "timestamp": timestamp, "message_id": accepted.message_id}


def _read(given: Any, defaults: _Defaults) -> tuple[Posted, dict[str, Any]]:
    if not isinstance(given, dict):
        raise invalid_input("samples", _shown(given), "Each of them must be an object")
    for name in given:
        if name not in FIELDS:
            raise unknown_argument(_shown(name))
    for name in REQUIRED:
        if given.get(name) is None:
            raise invalid_input(name, None, "Mandatory field missing.")
    if given["counter_name"] != defaults.meter:
        raise invalid_input("counter_name", _shown(given["counter_name"]), f"should be {defaults.meter}")
    if given.get("message_id"):
        raise invalid_input("message_id", _shown(given["message_id"]), "The message_id must not be set")
    if given["counter_type"] not in tuple(Kind):
        raise invalid_input(
            "counter_type", _shown(given["counter_type"]), f"The counter type must be: {', '.join(Kind)}"
        )
    project_id = _owner(given, defaults.caller)
    metadata, nested = _metadata(given.get("resource_metadata"))
    source = f"{project_id}:{_text(given, 'source', default=defaults.source)}"
    _check_text("source", source, given.get("source"))
    counter = Counter(
        name=_checked(given, "counter_name"),
        type=Kind(given["counter_type"]),
        unit=_checked(given, "counter_unit", empty=True),
        volume=_volume(given["counter_volume"]),
        user_id=_text(given, "user_id", default=defaults.caller.user_id),
        project_id=project_id,
        resource_id=_checked(given, "resource_id"),
        timestamp=_timestamp(given.get("timestamp")),
        resource_metadata=nested,
    )
    return Posted(counter, source), _show(counter, source, metadata)


def _show(counter: Counter, source: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "source": source,
        "counter_name": counter.name,
        "counter_type": str(counter.type),
        "counter_unit": counter.unit,
        "counter_volume": counter.volume,
        "user_id": counter.user_id,
        "project_id": counter.project_id,
        "resource_id": counter.resource_id,
        "resource_metadata": metadata,
    }


def _owner(given: Mapping[str, Any], caller: Caller) -> str | None:
    """The project that the sample is of: only an admin posts for another than his own, or for none."""
    project_id = _text(given, "project_id", default=caller.project_id)
    if not caller.is_admin and (project_id is None or project_id != caller.project_id):
        raise invalid_input("project_id", _shown(project_id), "can not post samples to other projects")
    return project_id


def _checked(given: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
    value = given[name]
    _check_text(name, value, value, empty=empty)
    return str(value)


def _text(given: Mapping[str, Any], name: str, *, default: str | None) -> str | None:
    """An optional text; the default also where it is empty."""
    value = given.get(name)
    if value is None or value == "":
        return default
    _check_text(name, value, value)
    return str(value)


def _check_text(name: str, value: Any, given: Any, *, empty: bool = False) -> None:
    try:
        check_text(name, value, empty=empty)
    except MalformedMessage as exc:
        raise invalid_input(name, _shown(given), str(exc)) from exc


def _volume(value: Any) -> float:
    """A number, or the text of one, as ``ceilometer`` sends it."""
    try:
        if isinstance(value, str):
            if not _NUMBER.fullmatch(value):
                raise MalformedMessage("unable to convert to float")
            value = float(value)
        return check_volume(value)
    except MalformedMessage as exc:
        raise invalid_input("counter_volume", _shown(value), str(exc)) from exc


def _timestamp(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = parse_timestamp(value.strip() if isinstance(value, str) else value)
    except MalformedMessage as exc:
        raise invalid_input("samples", _shown(value), f"timestamp: invalid timestamp format: {exc}") from exc
    if moment < EPOCH:
        raise invalid_input("samples", _shown(value), "timestamp: it lies before 1970")
    return moment


def _metadata(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """As it was sent, which the answer shows, and nested, which is signed."""
    if value is None:
        return {}, {}
    if not isinstance(value, dict):
        raise invalid_input("samples", _shown(value), "resource_metadata must be an object")
    try:
        canonical_metadata(value)  # first: what nests too deep cannot be copied
        nested = restore(value)
        canonical_metadata(nested)
    except MalformedMessage as exc:
        raise invalid_input("resource_metadata", _shown(value), str(exc)) from exc
    return value, nested


def _shown(value: Any) -> str:
    """A value as an error's text shows it: not all of a long one, and nothing that cannot be shown."""
    text = as_text(value)
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return short if short.isprintable() else ascii(short)[1:-1]
