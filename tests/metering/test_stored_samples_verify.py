"""What is stored verifies for ever, exactly, from what is stored; and nothing of it can be changed unnoticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from metering import ceilometer, messages
from metering.counters import Counter
from metering.models import Sample
from metering.store import reading
from tests.factories import CEILOMETER_SECRET
from tests.factories import reading as reading_of
from tests.metering.storing import batch, faults, foreign, quarantined, record, samples, stored, undone, whole
from tests.metering.strategies import counters, empty_texts, few, metadata, moments, texts, volumes
from tests.metering.test_message_format import documented_verifier

SECRETS = {"k1": b"a secret of the tests"}
VERIFY = documented_verifier()

pytestmark = pytest.mark.usefixtures("ledger")


def stored_messages() -> list[dict[str, Any]]:
    return [reading.message(sample, original) for sample, original in stored()]


def by_id(given_messages: list[dict[str, Any]]) -> dict[str, str]:
    """Each message as its canonical text, by its id: texts tell 1 from 1.0 and -0.0 from 0.0."""
    return {message["message_id"]: json.dumps(message, sort_keys=True) for message in given_messages}


@few
@given(st.lists(counters, min_size=1, max_size=4))
def test_any_sample_that_was_read_gives_back_its_message_which_the_documented_verifier_accepts(
    sent: list[Counter],
) -> None:
    text = batch(*sent)
    with undone():
        record(text)
        found = stored_messages()
        assert (faults(), quarantined()) == ([], [])

    assert by_id(found) == by_id(list(messages.unpack(text)))
    assert all(VERIFY(message, SECRETS) for message in found)


def in_some_form(moment: datetime, form: int) -> str:
    """A time as an agent may write it."""
    forms = (
        moment.isoformat(timespec="microseconds"),
        moment.replace(tzinfo=None).isoformat(),
        moment.replace(tzinfo=None).isoformat(" "),
        moment.isoformat().replace("+00:00", "Z"),
        moment.strftime("%Y%m%dT%H%M%S.%fZ"),
        f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}789Z",
    )
    return forms[form % len(forms)]


foreign_messages = st.fixed_dictionaries(
    {
        "source": texts,
        "counter_name": texts,
        "counter_type": st.sampled_from(["gauge", "delta", "cumulative"]),
        "counter_volume": volumes | st.integers(-(10**30), 10**30),
        "resource_id": texts,
        "timestamp": st.builds(in_some_form, moments, st.integers(0, 5)),
        "resource_metadata": metadata | st.just(...),
        "message_id": st.uuids().map(str) | st.uuids().map(lambda made: str(made).upper()) | texts,
        "user_id": st.none() | empty_texts | st.just(...),
        "project_id": st.none() | empty_texts | st.just(...),
        "counter_unit": empty_texts | st.just(...),
    },
    optional={"monotonic_time": st.none() | volumes, "user_name": empty_texts, "publisher_id": empty_texts | st.none()},
)


@few
@given(
    st.lists(foreign_messages, max_size=3, unique_by=lambda message: str(message["message_id"]).lower()),
    st.sampled_from(ceilometer.VARIANTS),
)
def test_any_foreign_message_gives_back_exactly_what_its_agent_signed(
    given_fields: list[dict[str, Any]], variant: str
) -> None:
    sent = []
    for fields in given_fields:
        message = {name: value for name, value in fields.items() if value is not ...}
        try:
            sent.append({**message, "message_signature": ceilometer.signature(message, CEILOMETER_SECRET, variant)})
        except UnicodeEncodeError:
            continue  # a lone surrogate: no agent could have signed it
    if not sent:
        return

    with undone():
        record(whole(*sent))
        found = stored_messages()
        assert (faults(), quarantined()) == ([], [])

    assert by_id(found) == by_id(sent)
    for message in found:
        ceilometer.check(message, (CEILOMETER_SECRET,))


@few
@given(counters, st.dictionaries(texts, metadata, max_size=2))
def test_a_message_of_ours_that_was_handed_on_with_more_in_it_still_verifies(
    counter: Counter, more: dict[str, Any]
) -> None:
    [message] = messages.unpack(batch(counter))
    with undone():
        record(whole({**more, **message}))
        [again] = stored_messages()
        assert (faults(), quarantined()) == ([], [])

    assert again == {**more, **message}
    assert VERIFY(again, SECRETS)


def changes() -> Iterator[tuple[str, str]]:
    """Every stored piece of a sample, and a statement that changes it."""
    for column, value in {
        "volume": "volume + 1", "ts": "ts + interval '1 microsecond'", "message_id": "gen_random_uuid()",
        "signature": "sha256('x')", "metadata_id": "metadata_id + 1", "signer_id": "signer_id + 1",
        "series_id": "series_id + 1",
    }.items():  # fmt: skip
        yield f"sample.{column}", f"UPDATE sample SET {column} = {value}"
    for column in ("source", "meter", "unit", "resource_id", "user_id", "project_id"):
        yield f"series.{column}", f"UPDATE series SET {column} = {column} || 'x'"
    yield "series.type", "UPDATE series SET type = 'delta'"
    yield "series.user_id null", "UPDATE series SET user_id = NULL"
    yield "metadata", """UPDATE resource_metadata SET body = '{"other":1}'"""
    yield "metadata, no JSON", "UPDATE resource_metadata SET body = 'garbage'"
    yield "signer.publisher", "UPDATE signer SET publisher = publisher || 'x'"
    yield "signer.kid", "UPDATE signer SET kid = 'other' || id"


def changes_of_originals() -> Iterator[tuple[str, str]]:
    yield "the original went", "DELETE FROM sample_original"
    for name, body in {
        "no JSON": "garbage", "a list": "[]", "null": "null", "nothing in it": "{}", "a text": '"x"',
        "another message": json.dumps(foreign(message_id="other")),
        "another, signed": json.dumps(foreign(counter_volume=99, extra="field")),
    }.items():  # fmt: skip
        yield f"original: {name}", f"UPDATE sample_original SET body = '{body}'"
    yield "original, changed", "UPDATE sample_original SET body = replace(body, '2026', '2025')"


KEPT = {
    "ours": lambda: batch(reading_of(7, origin="o", metadata={"a": 1})),
    "foreign": lambda: whole(foreign()),
    "foreign, as ours": lambda: whole(
        foreign(timestamp="2026-11-23T11:59:00.123456+00:00", counter_volume=7.0, publisher_id="agent")
    ),
    "ours, with more": lambda: whole(
        {**next(messages.unpack(batch(reading_of(7, origin="o", metadata={"a": 1})))), "extra": "field"}
    ),
}


@pytest.mark.parametrize("kind", KEPT)
@pytest.mark.parametrize(
    ("what", "statement"), [*changes(), *changes_of_originals()], ids=lambda value: value.split("=")[0]
)
def test_nothing_of_a_stored_sample_can_be_changed_unnoticed(kind: str, what: str, statement: str) -> None:
    record(KEPT[kind]())
    assert (len(samples()), faults()) == (1, [])
    # What a changed reference may point to: another row of each kind.
    record(batch(reading_of(1, origin="o", resource="x", metadata={"b": 2}), publisher="compute/host-2"))
    [mine] = Sample.objects.exclude(series__resource_id="x").values_list("message_id", flat=True)
    has_original = Sample.objects.filter(message_id=mine).exists() and kind in {"foreign", "ours, with more"}

    with transaction.atomic(), connection.cursor() as cursor:
        if statement.startswith("UPDATE sample SET"):
            cursor.execute(f"{statement} WHERE message_id = '{mine}'")
        else:
            cursor.execute("DELETE FROM sample WHERE message_id <> %s", [mine])
            cursor.execute(statement)

    found = samples()
    broken = faults((sample, reading.originals([sample]).get(sample.pk)) for sample in found)
    unsigned = what == "signer.kid" and kind.startswith("foreign")  # the original's form has none
    untouched = "original" in what and not has_original
    gone = kind == "ours, with more" and what == "the original went"  # what it said more was not signed
    if unsigned or untouched or gone:
        return
    assert broken or reading.orphans(Sample.objects.all()).exists(), what


def test_pages_go_through_all_samples_in_the_order_of_their_key() -> None:
    record(batch(*(reading_of(n, n % 4, resource=f"r-{n % 3}", origin=f"o{n}") for n in range(10))))

    found = [list(page) for page in reading.pages(Sample.objects.all(), size=3)]

    assert [len(page) for page in found] == [3, 3, 3, 1]
    keys = [sample.pk for page in found for sample in page]
    assert keys == sorted(keys)
    assert len(set(keys)) == 10
