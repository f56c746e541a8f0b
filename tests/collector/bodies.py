"""Recorded notification bodies, and ways to change them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "data" / "notifications"
TEXTS = {json.loads(text)["event_type"]: text for text in (path.read_text() for path in FOLDER.glob("*.json"))}
RECORDED = sorted(TEXTS)


def recorded(event_type: str, **payload: Any) -> dict[str, Any]:
    """The recorded notification of this event type, with some fields of its payload changed."""
    message: dict[str, Any] = json.loads(TEXTS[event_type])
    message["payload"].update(payload)
    return message


def body(message: Any) -> bytes:
    """As the `messaging` driver sends it."""
    return json.dumps(message).encode()


def enveloped(message: Any, version: Any = "2.0") -> bytes:
    """As the `messagingv2` driver sends it."""
    return json.dumps({"oslo.version": version, "oslo.message": json.dumps(message)}).encode()
