"""The form of a file of declared pollsters, as JSON Schema: every key, and what it may hold."""

from __future__ import annotations

from typing import Any

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 4_000}
_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean", "null"]}
_SECONDS: dict[str, Any] = {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 86_400}
_SKIPS: dict[str, Any] = {"type": "array", "items": {"type": "object"}, "maxItems": 100}
_CACHE: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 7 * 86_400}

# Keys that an API's question has in common, the pollster's own and that of an extra field.
_QUESTION: dict[str, Any] = {
    "endpoint_type": _TEXT,
    "url_path": _TEXT,
    "host_command": _TEXT,
    "headers": {"type": "object", "additionalProperties": {"type": ["string", "number"]}, "maxProperties": 100},
    "timeout": _SECONDS,
    "response_entries_key": _TEXT,
    "next_sample_url_attribute": _TEXT,
    "response_handlers": {
        "type": "array",
        "items": {"enum": ["json", "xml", "text"]},
        "minItems": 1,
        "uniqueItems": True,
    },
    "metadata_fields": {"type": "array", "items": _TEXT, "maxItems": 1_000},
    "metadata_mapping": {"type": "object", "additionalProperties": _TEXT, "maxProperties": 1_000},
    "preserve_mapped_metadata": {"type": "boolean"},
    "extra_metadata_fields_cache_seconds": _CACHE,
    "extra_metadata_fields_skip": _SKIPS,
}

_EXTRA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": _TEXT, "value": _TEXT, **_QUESTION},
    "required": ["name", "value"],
    "additionalProperties": False,
}

DEFINITION: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": r"^[\w-]+(\.[\w-]+)*(\.\{[\w-]+\})?$", "maxLength": 255},
        "sample_type": {"enum": ["gauge", "delta", "cumulative"]},
        "unit": {"type": "string", "maxLength": 255},
        "value_attribute": _TEXT,
        "value_mapping": {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean"]}},
        "default_value": {"type": ["number", "string"]},
        "skip_sample_values": {"type": "array", "items": _SCALAR},
        "user_id_attribute": _TEXT,
        "project_id_attribute": _TEXT,
        "resource_id_attribute": _TEXT,
        "namespaces": {
            "oneOf": [
                {"enum": ["central", "compute"]},
                {"type": "array", "items": {"enum": ["central", "compute"]}, "minItems": 1, "uniqueItems": True},
            ]
        },
        "module": _TEXT,
        "authentication_object": _TEXT,
        "authentication_parameters": {"type": "string", "maxLength": 4_000},
        "barbican_secret_id": {"type": "string", "pattern": r"^[0-9A-Za-z-]*$"},
        "extra_metadata_fields": {
            "oneOf": [_EXTRA, {"type": "array", "items": _EXTRA, "maxItems": 100}],
        },
        **_QUESTION,
    },
    "required": ["name", "sample_type", "unit", "value_attribute"],
    "additionalProperties": False,
}
