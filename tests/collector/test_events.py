"""From notifications to events: traits by the last definition that fits, of the type that it says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.events import files
from collector.events.converter import Converter
from collector.notification import Notification, parse
from metering.errors import BadEvent
from metering.event_messages import pack
from metering.events import MOST_RAW, Event, Value
from tests.collector.bodies import RECORDED, recorded
from tests.collector.line import SIGNER

SHIPPED = files.load([])[0]
NO_INTEGERS: list[Any] = ["x", "1.5", [1], {}, 1 << 63, float("inf")]
NO_NUMBERS: list[Any] = ["x", "nan", "1e999", [1.0], 1 << 2_000]
NO_TIMES: list[Any] = ["yesterday", 7, [], "2026-13-01"]


def converter(tmp_path: Path, text: str, **options: Any) -> Converter:
    (tmp_path / "events.yaml").write_text(text)
    found, wrong = files.of_file(tmp_path / "events.yaml")
    assert not wrong
    return Converter(found, **options)


def notification(payload: Any, event_type: str = "thing.create", **fields: Any) -> Notification:
    message = {
        "event_type": event_type,
        "message_id": "m-1",
        "publisher_id": "thing.host-1.example.org",
        "priority": "INFO",
        "timestamp": "2026-11-23 12:00:00.5",
        "payload": payload,
        **fields,
    }
    return parse(message)


def kept(made: Converter, said: Notification) -> Event:
    event = made.event(said)
    assert event is not None
    return event


def values(event: Event) -> dict[str, Value]:
    return {trait.name: trait.value for trait in event.traits}


def test_an_event_is_its_notification_in_a_few_traits() -> None:
    event = kept(Converter(SHIPPED), parse(recorded("compute.instance.create.end")))

    assert event.message_id == recorded("compute.instance.create.end")["message_id"]
    assert event.event_type == "compute.instance.create.end"
    assert event.generated == datetime(2026, 11, 23, 9, 15, 2, 318_455, UTC)
    assert event.raw is None
    told = values(event)
    assert (told["service"], told["host"]) == ("compute", "compute-07")
    assert (told["memory_mb"], told["vcpus"], told["instance_type"]) == (2048, 1, "m1.small")
    assert told["launched_at"] == datetime(2026, 11, 23, 9, 15, 2, tzinfo=UTC)
    assert told["resource_id"] == told["instance_id"]
    assert told["project_id"] == told["tenant_id"] == recorded("compute.instance.create.end")["payload"]["tenant_id"]
    assert "deleted_at" not in told  # nova writes '' for none
    assert list(told) == sorted(told)


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_notification_becomes_a_small_event(name: str) -> None:
    event = kept(Converter(SHIPPED), parse(recorded(name)))

    assert "service" in values(event)
    [text] = pack([event], SIGNER)
    assert len(text) < 2_000


@pytest.mark.parametrize(
    "name", [name for name in RECORDED if name.startswith(("compute.instance", "image", "volume"))]
)
def test_what_becomes_of_somebodys_resource_is_an_event_about_it(name: str) -> None:
    told = values(kept(Converter(SHIPPED), parse(recorded(name))))

    assert {"service", "project_id", "user_id", "resource_id"} <= told.keys()


def test_every_event_has_the_default_traits_from_its_payload_or_its_context() -> None:
    context = {"_context_request_id": "req-1", "_context_project_id": "asking", "_context_user_id": "asker"}

    assert values(kept(Converter(()), notification({}, **context))) == {
        "service": "thing.host-1.example.org", "request_id": "req-1",
        "project_id": "asking", "tenant_id": "asking", "user_id": "asker",
    }  # fmt: skip
    told = values(kept(Converter(()), notification({"tenant_id": "owner", "user_id": "u"}, **context)))
    assert (told["project_id"], told["tenant_id"], told["user_id"]) == ("owner", "owner", "u")
    assert values(kept(Converter(()), notification(["a", "list"]))) == {"service": "thing.host-1.example.org"}


def test_the_last_definition_that_fits_wins_and_its_traits_go_before_the_default_ones(tmp_path: Path) -> None:
    made = converter(
        tmp_path,
        "- {event_type: thing.*, traits: {a: payload.a, service: payload.a}}\n"
        "- {event_type: [thing.*, '!thing.create'], traits: {b: payload.b}}\n",
    )

    assert values(kept(made, notification({"a": "x", "b": "y"}))) == {"a": "x", "service": "x"}
    told = values(kept(made, notification({"a": "x", "b": "y"}, "thing.delete")))
    assert told == {"b": "y", "service": "thing.host-1.example.org"}


def test_what_fits_no_definition_has_default_traits_or_is_dropped() -> None:
    said = notification({}, "unheard.of")

    assert values(kept(Converter(SHIPPED), said)) == {"service": "thing.host-1.example.org"}
    assert Converter(SHIPPED, drop_unmatched=True).event(said) is None
    assert Converter(SHIPPED, drop_unmatched=True).event(parse(recorded("image.delete"))) is not None


@pytest.mark.parametrize(
    ("type_", "given", "value"),
    [
        ("text", "x", "x"),
        ("text", "", ""),
        ("text", "ä" * 300, "ä" * 255),
        ("text", 7, "7"),
        ("text", 1.5, "1.5"),
        ("text", True, "True"),
        ("text", {"a": [1, None]}, '{"a": [1, null]}'),
        ("text", "a\0b", "a\ufffdb"),
        ("text", "\ud800x", "?x"),
        ("int", 7, 7),
        ("int", "7", 7),
        ("int", 7.9, 7),
        ("int", True, 1),
        ("int", -(1 << 63), -(1 << 63)),
        ("float", "1.5", 1.5),
        ("float", 3, 3.0),
        ("float", -0.0, 0.0),
        ("datetime", "2026-11-23 12:00:00", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("datetime", "2026-11-23T12:00:00.000001+02:00", datetime(2026, 11, 23, 10, 0, 0, 1, UTC)),
    ],
)
def test_a_value_becomes_one_of_the_trait_s_type(tmp_path: Path, type_: str, given: Any, value: Value) -> None:
    made = converter(tmp_path, f"- {{event_type: '*', traits: {{x: {{type: {type_}, fields: payload.x}}}}}}")

    told = values(kept(made, notification({"x": given})))["x"]

    assert (told, type(told)) == (value, type(value))
    assert str(told) != "-0.0"


@pytest.mark.parametrize("type_", ["text", "int", "float", "datetime"])
def test_null_and_what_is_not_there_give_no_trait(tmp_path: Path, type_: str) -> None:
    made = converter(tmp_path, f"- {{event_type: '*', traits: {{x: {{type: {type_}, fields: payload.x}}}}}}")

    assert "x" not in values(kept(made, notification({"x": None})))
    assert "x" not in values(kept(made, notification({})))
    if type_ != "text":
        assert "x" not in values(kept(made, notification({"x": ""})))


@pytest.mark.parametrize(
    ("type_", "given"),
    [
        *(("int", wrong) for wrong in NO_INTEGERS),
        *(("float", wrong) for wrong in NO_NUMBERS),
        *(("datetime", wrong) for wrong in NO_TIMES),
    ],
)
def test_a_value_of_another_type_fails_the_event_and_names_the_trait(tmp_path: Path, type_: str, given: Any) -> None:
    made = converter(tmp_path, f"- {{event_type: '*', traits: {{x: {{type: {type_}, fields: payload.x}}}}}}")

    with pytest.raises(BadEvent, match=r"^trait x: .* is no "):
        made.event(notification({"x": given}))


def test_of_alternatives_the_first_that_says_something_counts(tmp_path: Path) -> None:
    made = converter(tmp_path, "- {event_type: '*', traits: {x: ['payload.a[*]', payload.b, _context_tenant]}}")

    assert values(kept(made, notification({"a": [None, "second"], "b": "b"})))["x"] == "second"
    assert values(kept(made, notification({"b": "b"})))["x"] == "b"
    assert values(kept(made, notification({}, _context_tenant="t")))["x"] == "t"


def test_a_plugin_gets_the_values_of_all_fields(tmp_path: Path) -> None:
    made = converter(
        tmp_path,
        "- event_type: '*'\n"
        "  traits:\n"
        "    seconds: {type: float, fields: [payload.begun, payload.ended], plugin: timedelta}\n"
        "    bits: {type: int, fields: [payload.begun], plugin: {name: bitfield, parameters: {flags: ["
        "{path: payload.begun, bit: 4}]}}}\n",
    )

    told = values(kept(made, notification({"begun": "2026-01-01T00:00:00", "ended": "2026-01-01T00:00:07"})))
    assert (told["seconds"], told["bits"]) == (7.0, 16)
    told = values(kept(made, notification({})))
    assert "seconds" not in told
    assert told["bits"] == 0


def test_the_whole_notification_is_kept_of_the_priorities_told_and_no_token_with_it() -> None:
    said = notification({"a": 1}, _context_auth_token="a token", _context_user_id="u", _context_roles=["admin"])

    raw = kept(Converter((), store_raw=("info",)), said).raw

    assert raw is not None
    assert json.loads(raw) == {
        "event_type": "thing.create", "publisher_id": "thing.host-1.example.org", "priority": "info",
        "payload": {"a": 1}, "ctxt": {"user_id": "u"},
        "metadata": {"message_id": "m-1", "timestamp": "2026-11-23T12:00:00.500000+00:00"},
    }  # fmt: skip
    assert kept(Converter((), store_raw=("error",)), said).raw is None


def test_a_notification_that_is_too_long_to_keep_leaves_its_event_without_it() -> None:
    said = notification({"a": "x" * MOST_RAW, "tenant_id": "t"})

    event = kept(Converter((), store_raw=("info",)), said)

    assert event.raw is None
    assert values(event)["project_id"] == "t"


@pytest.mark.parametrize(
    "wrong", [{"message_id": "a\0b"}, {"event_type": "a\0b"}, {"timestamp": "1969-12-31T23:59:59"}]
)
def test_what_the_store_would_refuse_is_refused_while_the_notification_is_at_hand(wrong: dict[str, str]) -> None:
    with pytest.raises(BadEvent):
        Converter(()).event(notification({}, **{"event_type": "thing.create"} | wrong))
