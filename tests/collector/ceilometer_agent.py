"""A Ceilometer agent as the reference describes it: what it meters, and its signature. No line of ours runs here."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Iterator
from typing import Any

SECRET = "change this for valid signing"
RELEASES = ("2014.2", "8")  # texts in lists stayed texts; from 8 on they are bytes


def metered(**changed: Any) -> dict[str, Any]:
    """A metering message without its signature, with what makes signing hard."""
    return {
        "source": "openstack",
        "counter_name": "cpu",
        "counter_type": "cumulative",
        "counter_unit": "ns",
        "counter_volume": 2948160000000,
        "user_id": "c1f6a7e2",
        "project_id": None,
        "resource_id": "i-1",
        "timestamp": "2026-11-23T11:59:00.123456+00:00",
        "resource_metadata": {
            "display_name": "größe 🚀",
            "vcpus": 2,
            "ratio": 0.1,
            "tiny": 1e-07,
            "whole": 1.0,
            "none": None,
            "on": True,
            "empty": {},
            "flavor": {"name": "m1", "extra": {"b": [1, "é", [None, False, {"z": 1.5, "a": "x"}]]}},
        },
        "message_id": str(uuid.uuid4()),
        "monotonic_time": 12345.678901234,
        "user_name": None,
        "project_name": None,
        **changed,
    }


def signed(message: dict[str, Any], secret: str = SECRET, release: str = "8") -> dict[str, Any]:
    """The message with the signature that an agent of this release gives it."""
    mac = hmac.new(secret.encode("utf-8"), digestmod=hashlib.sha256)
    for name, value in _walk(message, release):
        if name != "message_signature":
            mac.update(name.encode("utf-8"))
            mac.update(value.encode("utf-8"))
    return {**message, "message_signature": mac.hexdigest()}


def _walk(fields: dict[str, Any], release: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name in sorted(fields):
        value = fields[name]
        if type(value) is dict:
            yield from _walk(value, release, prefix + name + ":")
        elif type(value) in (list, tuple):
            yield prefix + name, repr(_rebuilt(value, release))
        else:
            yield prefix + name, value if type(value) is str else repr(value)


def _rebuilt(value: Any, release: str) -> Any:
    if type(value) is dict:
        return {_rebuilt(name, release): _rebuilt(inner, release) for name, inner in sorted(value.items())}
    if type(value) in (list, tuple):
        return [_rebuilt(inner, release) for inner in value]
    if type(value) is str and release == "8":
        return value.encode("utf-8")
    return value
