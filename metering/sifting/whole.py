"""Whole messages: as they came from anybody, each judged by its own signature."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from metering import ceilometer
from metering.bounds import check_text, check_volume, parse_timestamp
from metering.errors import MalformedMessage
from metering.sifting.genuine import Genuine, SeriesKey, SignerKey, repacked
from metering.sifting.judge import Judge, identity_of, plain_json, says_where
from metering.signing import SCHEME, Keyring, canonical, canonical_metadata, metadata_digest, sample_bytes

_SIGNED_BY_US = ("counter_unit", "user_id", "project_id", "resource_metadata")  # and those that every sample needs
_REQUIRED = ("source", "counter_name", "counter_type", "counter_volume", "resource_id", "timestamp", "message_id")


def judge_whole(judge: Judge, text: object, now: datetime, disabled: frozenset[str]) -> Genuine:
    """A plain message, by its own signature. Raises a `MeteringError` with the reason."""
    if not isinstance(text, str):
        raise MalformedMessage("a whole message is one JSON text")
    message = _message(text)
    moment = parse_timestamp(message["timestamp"])
    volume = check_volume(message["counter_volume"])
    metadata = canonical_metadata(message.get("resource_metadata", {}))
    identity, is_uuid = identity_of(message["message_id"])
    series = judge.series(key_of(message))
    signer, signature = _signature(judge, message, volume, metadata)
    judge.check_time(moment, now)
    judge.check_right(signer[2], series.key[1], disabled)
    foreign = not is_uuid or not says_where(identity, series, moment)
    genuine = Genuine(series, moment, volume, metadata, identity, signer, signature, foreign, None)
    return genuine if canonical(repacked(genuine)) == canonical(message) else genuine._replace(original=text)


def _message(text: str) -> dict[str, Any]:
    """The object in a text, with every field that a sample needs. Raises `MalformedMessage`."""
    message = plain_json(text, "the message")
    if not isinstance(message, dict):
        raise MalformedMessage("a metering message is an object")
    for name in _REQUIRED:
        if name not in message:
            raise MalformedMessage(f"{name} is missing")
    if not isinstance(message.get("resource_metadata", {}), dict):
        raise MalformedMessage("resource_metadata must be an object")
    return message


def _signature(judge: Judge, message: Mapping[str, Any], volume: float, metadata: str) -> tuple[SignerKey, bytes]:
    """Who signed a plain message, in ours or the original's form. Raises `BadSignature`."""
    given, publisher = message.get("message_signature"), message.get("publisher_id")
    if isinstance(given, str) and given.startswith(f"{SCHEME}:"):
        return _our_signature(judge.rules.keyring, message, given, volume, metadata)
    variant = ceilometer.check(message, judge.rules.ceilometer_secrets)
    check_text("publisher_id", publisher, empty=True, null=True)
    return (f"{ceilometer.SCHEME}/{variant}", "", publisher or ""), bytes.fromhex(str(given))


def _our_signature(
    keyring: Keyring, message: Mapping[str, Any], given: str, volume: float, metadata: str
) -> tuple[SignerKey, bytes]:
    publisher = message.get("publisher_id")
    check_text("publisher_id", publisher)
    for field_name in _SIGNED_BY_US:  # whoever verifies it again reads each of them
        if field_name not in message:
            raise MalformedMessage(f"{field_name} is missing")
    source, name, type_, unit, resource_id, user_id, project_id = key_of(message)
    data = sample_bytes(
        str(publisher), source, name, type_, unit, volume, user_id, project_id, resource_id,
        message["timestamp"], metadata_digest(metadata), message["message_id"],
    )  # fmt: skip
    signer = keyring.check(str(publisher), given, data)
    return (SCHEME, signer.kid, signer.publisher), bytes.fromhex(given.rpartition(":")[2])


def key_of(message: Mapping[str, Any]) -> SeriesKey:
    """The series that a plain message belongs to, its fields not checked."""
    return (
        message["source"], message["counter_name"], message["counter_type"], message.get("counter_unit", ""),
        message["resource_id"], message.get("user_id"), message.get("project_id"),
    )  # fmt: skip
