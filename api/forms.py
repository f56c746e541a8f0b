"""The JSON forms of what the API answers and takes, as JSON Schema: components of its OpenAPI.

Closed: a field that is missing or too many in an answer is a fault, and the tests look for it.
"""

from __future__ import annotations

from typing import Any

from metering.counters import Kind
from metering.models.figures import STANDARD
from metering.models.nodes import STATES
from metering.models.usage import PERIODS, USES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
NUMBER: Schema = {"type": "number"}
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
_MOMENT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$"
MOMENT: Schema = {"type": "string", "pattern": _MOMENT, "description": "UTC, without a zone."}
MOMENT_OR_NULL: Schema = {**MOMENT, "type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
COUNT_OR_NULL: Schema = {"type": ["integer", "null"], "minimum": 0}
KIND: Schema = {"type": "string", "enum": [str(kind) for kind in Kind]}
FLAT: Schema = {"type": "object", "additionalProperties": TEXT, "description": "Flat: {a: {b: {c: 1}}} is a.b:c."}


def closed(properties: Schema, *optional: str, text: str = "") -> Schema:
    """An object of these properties and no others."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }
    return {"description": text, **schema} if text else schema


def _or_null(properties: Schema, *optional: str) -> Schema:
    return {**closed(properties, *optional), "type": ["object", "null"]}


def listed(schema: Schema) -> Schema:
    """An array of these."""
    return {"type": "array", "items": schema}


def ref(form: str) -> Schema:
    """The form of this name."""
    return {"$ref": f"#/components/schemas/{form}"}


_OWNER = {"user_id": TEXT_OR_NULL, "project_id": TEXT_OR_NULL}
_OLD_SAMPLE = {
    "source": TEXT,
    "counter_name": TEXT,
    "counter_type": KIND,
    "counter_unit": TEXT,
    "counter_volume": NUMBER,
    **_OWNER,
    "resource_id": TEXT,
    "timestamp": MOMENT,
    "recorded_at": MOMENT,
    "resource_metadata": FLAT,
    "message_id": TEXT,
}
_NUMERIC = {"type": ["number", "string"], "description": "A number, or its text."}
_FREE: Schema = {"type": "object", "additionalProperties": True}
_FLAGS: Schema = {"type": "object", "additionalProperties": {"type": "boolean"}}
_LINK = closed({"href": TEXT, "rel": TEXT, "type": TEXT}, "type")
_TRAIT_TYPE = {"type": "string", "enum": ["string", "integer", "float", "datetime"]}
_VERSION = {
    "id": TEXT,
    "status": TEXT,
    "updated": TEXT,
    "links": listed(_LINK),
    "media-types": listed(closed({"base": TEXT, "type": TEXT})),
}

FORMS: dict[str, Schema] = {
    "Error": closed(
        {
            "error_message": closed(
                {
                    "faultcode": {"type": "string", "enum": ["Client", "Server"]},
                    "faultstring": TEXT,
                    "debuginfo": {"type": "null"},
                }
            )
        },
        text="Every refusal; faultstring says why.",
    ),
    "Versions": closed({"versions": closed({"values": listed(closed(_VERSION))})}),
    "Meter": closed(
        {
            "name": TEXT,
            "type": KIND,
            "unit": TEXT,
            "resource_id": TEXT_OR_NULL,
            **_OWNER,
            "source": TEXT_OR_NULL,
            "meter_id": TEXT,
        },
        text="A meter of a resource, with the owner of its latest sample.",
    ),
    "OldSample": closed(_OLD_SAMPLE, text="A sample, as /v2/meters/{name} has always shown it."),
    "PostedSample": closed(
        {
            **{name: schema for name, schema in _OLD_SAMPLE.items() if name not in ("recorded_at", "message_id")},
            "counter_volume": _NUMERIC,
            "source": TEXT_OR_NULL,
            "resource_id": {"type": "string", "minLength": 1},
            "timestamp": {"type": ["string", "null"], "description": "ISO 8601; without a zone it is UTC."},
            "resource_metadata": {**_FREE, "type": ["object", "null"]},
        },
        "source",
        "user_id",
        "project_id",
        "timestamp",
        "resource_metadata",
    ),
    "AcceptedSample": closed(
        {name: schema for name, schema in _OLD_SAMPLE.items() if name != "recorded_at"} | {"resource_metadata": _FREE},
        text="A posted sample, completed; its metadata as they were sent.",
    ),
    "Sample": closed(
        {
            "id": TEXT,
            "meter": TEXT,
            "type": KIND,
            "unit": TEXT,
            "volume": NUMBER,
            **_OWNER,
            "resource_id": TEXT,
            "source": TEXT,
            "timestamp": MOMENT,
            "recorded_at": MOMENT,
            "metadata": FLAT,
        },
    ),
    "Verification": closed(
        {
            "id": TEXT,
            "verifies": {"type": "boolean"},
            "reason": {**TEXT_OR_NULL, "description": "Why it does not."},
            "scheme": TEXT,
            "kid": TEXT_OR_NULL,
            "publisher": TEXT,
            "recorded_at": MOMENT,
            "message": {"type": ["object", "null"], "description": "As it was signed, with its signature."},
            "signed": {**TEXT_OR_NULL, "description": "The text that the signature is made over."},
            "as_it_came": {"type": "boolean", "description": "Whether the message's own text is kept."},
        },
        text="What was signed of one sample, by whom, and whether it verifies.",
    ),
    "Capabilities": closed({"api": _FLAGS, "storage": _FLAGS, "event_storage": _FLAGS}),
    "Resource": closed(
        {
            "resource_id": TEXT,
            **_OWNER,
            "source": TEXT,
            "first_sample_timestamp": MOMENT,
            "last_sample_timestamp": MOMENT,
            "metadata": FLAT,
            "links": listed(_LINK),
        },
        text="A resource, with the owner and metadata of its latest sample.",
    ),
    "Statistics": closed(
        {
            "groupby": {"type": ["object", "null"], "additionalProperties": TEXT_OR_NULL},
            "unit": TEXT,
            "period": {"type": "integer", "minimum": 0},
            "period_start": MOMENT_OR_NULL,
            "period_end": MOMENT_OR_NULL,
            "duration": NUMBER_OR_NULL,
            "duration_start": MOMENT_OR_NULL,
            "duration_end": MOMENT_OR_NULL,
            **dict.fromkeys(STANDARD, NUMBER_OR_NULL),
            "aggregate": {"type": "object", "additionalProperties": NUMBER_OR_NULL},
        },
        *STANDARD,
        "aggregate",
        text="Of one unit, group and period. Figures that were not asked for are left out.",
    ),
    "Usage": closed(
        {
            "groupby": {"type": "object", "additionalProperties": TEXT_OR_NULL},
            "period": {"type": "string", "enum": [*PERIODS]},
            "period_start": MOMENT,
            "period_end": MOMENT,
            "usage": {"type": "string", "enum": [use.name for use in USES]},
            "flavor": {**TEXT_OR_NULL, "description": "Of instances."},
            "amount": NUMBER_OR_NULL,
            "unit": TEXT,
            "resources": COUNT,
            "hours": {**COUNT, "description": "In which there was a sample, of all resources."},
            "gap_hours": {**COUNT, "description": "Between those of a resource, without one."},
        },
        text="How much of one kind a group used in one period.",
    ),
    "Poll": closed(
        {
            "source": TEXT,
            "slot": {"type": "integer"},
            "node": TEXT,
            "shard": COUNT,
            "due": MOMENT,
            "deadline": MOMENT,
            "state": {"type": "string", "enum": [*STATES]},
            "note": {**TEXT, "description": "Why no order went out."},
            "parts": {**COUNT_OR_NULL, "description": "Batches, by the node's own word."},
            "received": {**COUNT, "description": "How many of these."},
            "received_at": MOMENT_OR_NULL,
            "read_at": MOMENT_OR_NULL,
            "samples": COUNT,
            "guests": COUNT_OR_NULL,
            "errors": {"type": "object", "description": "By pollster."},
        },
        text="A poll that was expected of a node, and what came of it.",
    ),
    "Event": closed(
        {
            "message_id": TEXT,
            "event_type": TEXT,
            "generated": MOMENT,
            "traits": listed(ref("Trait")),
            "raw": _FREE,
        },
    ),
    "Trait": closed({"name": TEXT, "type": _TRAIT_TYPE, "value": TEXT}),
    "TraitDescription": closed({"name": TEXT, "type": _TRAIT_TYPE}),
    "EventType": TEXT,
}
BODIES: dict[str, Schema] = {
    "PostedSamples": {**listed(ref("PostedSample")), "minItems": 1},
    "ComplexQuery": _or_null(
        {
            "filter": {**TEXT_OR_NULL, "description": 'JSON: {"and": [{"=": {"meter": "cpu"}}, {">": {"volume": 1}}]}'},
            "orderby": {**TEXT_OR_NULL, "description": 'JSON: [{"timestamp": "desc"}]'},
            "limit": {"type": ["integer", "string", "null"], "minimum": 1},
        },
        "filter",
        "orderby",
        "limit",
    ),
}
