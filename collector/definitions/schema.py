"""The form of a file of meters, as JSON Schema: every key of a row, and what it may hold."""

from __future__ import annotations

from typing import Any

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 1_000}
_TEXTS: dict[str, Any] = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 1_000}]}
_PLUGIN: dict[str, Any] = {
    "anyOf": [
        _TEXT,
        {
            "type": "object",
            "properties": {"name": _TEXT, "parameters": {"type": "object"}},
            "required": ["name"],
            "additionalProperties": False,
        },
    ]
}
_COMPUTED: dict[str, Any] = {
    "type": "object",
    "properties": {"fields": _TEXTS, "plugin": _PLUGIN},
    "required": ["fields"],
    "additionalProperties": False,
}
_ALTERNATIVES: dict[str, Any] = {"type": "array", "items": {"anyOf": [_TEXT, _COMPUTED]}, "minItems": 1}
_VALUE: dict[str, Any] = {"anyOf": [_TEXT, _COMPUTED, _ALTERNATIVES]}
_ID: dict[str, Any] = {"anyOf": [{"type": "null"}, *_VALUE["anyOf"]]}

PROPERTIES: dict[str, Any] = {
    "name": _TEXT,
    "label": {"type": "string", "pattern": r"^[\w.-]+$", "maxLength": 200},  # of the row, where several have one name
    "event_type": _TEXTS,
    "exchange": _TEXTS,
    "topics": {"type": "array", "items": _TEXT, "minItems": 1},
    "type": _TEXT,
    "unit": {"type": "string", "maxLength": 255},
    "volume": {"anyOf": [{"type": "number"}, *_VALUE["anyOf"]]},
    "resource_id": _VALUE,
    "project_id": _ID,
    "user_id": _ID,
    "timestamp": _VALUE,
    "metadata": {"type": "object", "additionalProperties": _VALUE, "maxProperties": 1_000},
    "user_metadata": _VALUE,
    "lookup": _TEXTS,
    "multi": _TEXTS,
}

ROW: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": PROPERTIES,
    "required": ["name", "event_type", "exchange", "type", "unit", "volume", "resource_id"],
    "additionalProperties": False,
}

HEAD: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "exchange": _TEXTS,
        "nova_notifications": {"enum": ["unversioned", "versioned"]},
        "defaults": {"type": "object", "properties": PROPERTIES, "additionalProperties": False},
        "meters": {"type": "array"},
        "metric": {"type": "array"},
    },
    "oneOf": [{"required": ["meters"]}, {"required": ["metric"]}],
    "additionalProperties": False,
}
