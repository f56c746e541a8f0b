"""The wire format of events: what is no such batch or event is refused, whoever signed it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import MalformedBatch, MalformedMessage
from metering.event_messages import MOST_BYTES, MOST_EVENTS, pack, read
from metering.event_sifting import EventSifter
from metering.events import LONGEST_VALUE, MOST_RAW, MOST_TRAITS, Event, Trait, TraitType, read_value
from metering.messages import MOST_BYTES_READ
from metering.sifting import Rules, Sifter
from tests.events import ID, SIGNER, batch, changed, event
from tests.factories import KEYS, NOON
from tests.metering.storing import RULES
from tests.metering.strategies import many


def each(*values: Any) -> tuple[Any, ...]:
    """These values, which are of many types."""
    return values


LONG = "x" * (LONGEST_VALUE + 1)
WRONG: list[tuple[int, Any, str]] = [
    *((0, value, "message_id") for value in each(None, 7, "", LONG, "a\0b")),
    *((1, value, "event_type") for value in each(None, [], "", LONG)),
    *((2, value, "timestamp") for value in each(None, 7, "yesterday")),
    (2, "2026-11-23T12:00:00Z", "is not in canonical form"),
    (2, "1969-12-31T23:59:59.000000+00:00", "lies before 1970"),
    (2, "2199-12-31T23:59:59.000000+00:00", "METERING_AHEAD_SECONDS"),
    *((3, value, "traits must be a list") for value in each(None, {}, "x", [["t", "string", "v"]] * (MOST_TRAITS + 1))),
    *((3, [value], "a trait is a list of name, type and value") for value in each(None, {}, ["t", "string"], "abc")),
    *((3, [[name, "string", "v"]], "a trait's name") for name in each(None, 7, "", LONG)),
    (3, [["a", "string", "v"], ["a", "integer", "1"]], "comes twice"),
    (3, [["b", "string", "v"], ["a", "string", "v"]], "is not in order"),
    *((3, [["t", kind, "v"]], "has the type") for kind in each(None, "text", "bool", [])),
    *((3, [["t", "string", value]], "trait 't'") for value in each(None, 7, LONG, "a\0b")),
    *((3, [["t", "integer", value]], "is no integer") for value in ("x", "", "+1", "01", "1.0", "-0", str(1 << 63))),
    *((3, [["t", "float", value]], "is no finite number") for value in ("x", "1", "nan", "inf", "-0.0", "1.50")),
    *((3, [["t", "datetime", value]], "time") for value in ("x", "2026-11-23", "2026-11-23T12:00:00Z")),
    *((4, value, "raw") for value in each(7, {}, "", "[]", "{", '{"a":NaN}', "{}\0", "x" * (MOST_RAW + 1))),
]  # fmt: skip


@pytest.mark.parametrize(("number", "value", "reason"), WRONG)
def test_an_event_out_of_bounds_is_refused_with_its_reason_though_it_is_signed(
    number: int, value: Any, reason: str
) -> None:
    rules = Rules(KEYS, ahead=timedelta(days=36_500))
    sifted = EventSifter(Sifter(rules)).sift(read(changed(number, value)), NOON)

    assert [item.message_id for item in sifted.genuine] == [ID.format(1)]
    [refused] = sifted.refused
    assert reason in refused.reason


@pytest.mark.parametrize("row", [None, 7, {}, [], ["x"] * 5, ["x"] * 7, [None] * 6, [[]] * 6, ["x"] * 5 + ["y"]])
def test_a_row_of_another_form_is_refused(row: Any) -> None:
    parts = json.loads(batch(event(1)))
    parts["events"].append(row)

    sifted = EventSifter(Sifter(RULES)).sift(read(json.dumps(parts)), NOON)

    assert (len(sifted.genuine), len(sifted.refused)) == (1, 1)


def test_an_event_older_than_what_is_kept_is_refused() -> None:
    rules = Rules(KEYS, oldest=timedelta(days=30))

    sifted = EventSifter(Sifter(rules)).sift(read(batch(event(1))), NOON + timedelta(days=31))

    assert "METERING_RETENTION_DAYS" in sifted.refused[0].reason


@pytest.mark.parametrize(
    "text",
    [
        *(None, 7, b"{}", "", "{", "[]", "7", "null", "{}", '{"header": []}', "[" * 2_000),
        "x" * (MOST_BYTES_READ + 1),
        *(json.dumps({"header": header, "events": []}) for header in ({}, {"format": "nephometer-batch/1"})),
        *(
            json.dumps({"header": {"format": "nephometer-events/1", "publisher": "consumer/x", "kid": "k1", **wrong}})
            for wrong in ({}, {"publisher": 7}, {"publisher": ""}, {"kid": None}, {"kid": "a\0b"})
        ),
        *(
            json.dumps({**json.loads(batch(event(1))), "events": events})
            for events in each(None, {}, "x", [[]] * (MOST_EVENTS + 1))
        ),
    ],
)
def test_a_text_that_is_no_batch_is_refused(text: Any) -> None:
    with pytest.raises(MalformedBatch):
        read(text)


def test_a_batch_holds_so_many_events_and_bytes_and_every_one_goes_out() -> None:
    many_small = pack([event(number) for number in range(MOST_EVENTS + 1)], SIGNER)
    large = '{"a":"' + "x" * (MOST_RAW - 10) + '"}'
    few_large = pack([event(number, raw=large) for number in range(5)], SIGNER)

    assert [len(read(text).rows) for text in many_small] == [MOST_EVENTS, 1]
    assert sum(len(read(text).rows) for text in few_large) == 5
    assert all(len(text) <= MOST_BYTES + 1_000 for text in few_large)
    assert pack([], SIGNER) == []


def test_an_event_with_everything_at_its_bound_can_be_read() -> None:
    raw = json.dumps({"a": '"' * (MOST_RAW // 2 - 10)})
    traits = tuple(Trait(f"{number:0255}", TraitType.STRING, "\x01" * LONGEST_VALUE) for number in range(MOST_TRAITS))
    largest = Event("m" * 255, "t" * 255, NOON, traits, raw)

    [text] = pack([largest], SIGNER)

    assert not EventSifter(Sifter(RULES)).sift(read(text), NOON).refused


@many
@given(st.sampled_from(TraitType), st.text(max_size=30))
def test_a_trait_s_text_is_read_only_in_the_form_it_is_written(kind: TraitType, text: str) -> None:
    try:
        value = read_value(kind, text)
    except MalformedMessage:
        return
    assert Trait("t", kind, value).text == text
