"""Events in the store: each genuine one once, whatever comes with it and however often."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from metering import event_messages
from metering.event_messages import RECORD_EVENTS, pack
from metering.event_sifting import EventSifter, fields_of
from metering.events import Event, Trait, TraitType
from metering.models import Event as StoredEvent
from metering.models import EventTrait, EventType, Node, Quarantine
from metering.sifting import Sifter
from metering.signing import Keyring
from metering.store import event_reading
from metering.tasks import events as storage
from tests.events import ALL_TYPES, ID, SIGNER, batch, changed, event, record
from tests.factories import KEYS, NOON, at
from tests.metering.storing import RULES
from tests.metering.strategies import characters, many, moments

pytestmark = pytest.mark.usefixtures("ledger")


def quarantined() -> list[tuple[str, str, dict[str, Any]]]:
    return list(Quarantine.objects.order_by("id").values_list("kind", "reason", "details"))


def test_an_event_is_stored_as_it_was_sent() -> None:
    record(batch(ALL_TYPES))

    stored = StoredEvent.objects.select_related("event_type", "signer").get()
    assert str(stored.message_id) == stored.shown_id == ALL_TYPES.message_id
    assert (stored.generated, stored.event_type.name) == (ALL_TYPES.generated, "volume.create.end")
    assert tuple(stored.trait_list()) == ALL_TYPES.traits
    assert stored.project_id == "red"
    assert stored.raw == ALL_TYPES.raw
    assert (stored.signer.publisher, stored.signer.kid) == ("consumer/c1", "k1")
    assert Node.objects.get().publisher == "consumer/c1"
    assert not quarantined()


def test_what_is_stored_verifies_again() -> None:
    foreign = Event("no UUID", "image.delete", at(2), (Trait("size", TraitType.FLOAT, 1e22),))
    record(batch(ALL_TYPES, foreign))

    [first, second] = [event for page in event_reading.pages() for event in page]
    assert event_reading.fault(first, KEYS) is event_reading.fault(second, KEYS) is None
    assert event_reading.fault(first, Keyring({})) == "no secret 'k1' in METERING_SECRETS"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("traits", {"s:host": "n2"}),
        ("traits", {"d:t": "yesterday"}),
        ("traits", {"host": "n1"}),
        ("raw", None),
        ("generated", at(1.25)),
        ("given_id", "another"),
        ("signature", b"x" * 32),
    ],
)
def test_a_changed_row_verifies_no_more(column: str, value: Any) -> None:
    record(batch(ALL_TYPES))
    StoredEvent.objects.update(**{column: value})

    assert event_reading.fault(StoredEvent.objects.get(), KEYS)


def test_pages_hold_every_event_once() -> None:
    record(batch(*(event(number, number // 3) for number in range(8))))

    pages = list(event_reading.pages(size=2))

    assert [len(page) for page in pages] == [2, 2, 2, 2]
    assert [event.shown_id for page in pages for event in page] == [ID.format(number) for number in range(8)]


def test_the_command_says_how_many_verify(capsys: pytest.CaptureFixture[str]) -> None:
    rules = replace(RULES, keyring=storage_keys())
    text = batch(*(event(number, number // 2) for number in range(7)), keyring=storage_keys())
    storage.record(text, EventSifter(Sifter(rules)))

    call_command("verify_events")
    assert capsys.readouterr().out == "7 of 7 events verify\n"
    call_command("verify_events", start="2026-11-23T12:00:01", end="2026-11-23T12:00:02")
    assert capsys.readouterr().out == "4 of 4 events verify\n"

    StoredEvent.objects.filter(message_id=ID.format(3)).update(raw="{}")
    with pytest.raises(SystemExit):
        call_command("verify_events")
    assert capsys.readouterr().out == (
        f"{ID.format(3)} volume.create.end: the signature does not fit what is stored\n6 of 7 events verify\n"
    )


def test_a_known_event_is_the_same_event_whoever_sends_it_again() -> None:
    record(batch(ALL_TYPES, event(1)), batch(event(1), event(2)), batch(ALL_TYPES, ALL_TYPES))
    record(batch(event(2, name="of other definitions"), publisher="api/replay"))

    assert StoredEvent.objects.count() == 3
    assert "s:name" not in StoredEvent.objects.get(message_id=ID.format(2)).traits
    assert not quarantined()


def test_each_day_has_a_partition_and_an_id_is_unique_within_it() -> None:
    record(batch(event(1), event(2, 86_400), event(1, 60)))

    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM event ORDER BY 1")
        assert [row[0] for row in cursor.fetchall()] == ["event_20261123", "event_20261124"]


def test_which_traits_the_events_of_a_type_have_is_noted_once() -> None:
    record(batch(event(1, vcpus=1), event(2, vcpus=2)), batch(event(3, of="other", vcpus=2.5)))

    assert EventType.objects.count() == 2
    noted = EventTrait.objects.filter(name="vcpus").values_list("event_type__name", "type")
    assert sorted(noted) == [("other", "float"), ("volume.create.end", "integer")]


def test_an_id_that_is_no_uuid_is_kept_as_it_came() -> None:
    record(batch(Event("no UUID", "a", NOON, ())), batch(Event("no UUID", "a", NOON, ())))

    assert StoredEvent.objects.get().shown_id == "no UUID"


@pytest.mark.parametrize("publisher", ["compute/host-1", "central/central", "x"])
def test_who_may_not_send_events_has_his_refused(publisher: str) -> None:
    record(batch(event(1), publisher=publisher))

    assert not StoredEvent.objects.exists()
    [(_, reason, _)] = quarantined()
    assert reason == f"a {publisher.partition('/')[0]} process may not send events"


def test_a_disabled_publisher_s_events_are_refused() -> None:
    record(batch(event(1)))
    Node.objects.update(enabled=False)
    record(batch(event(2)))

    assert StoredEvent.objects.count() == 1
    assert [reason for _, reason, _ in quarantined()] == ["the publisher consumer/c1 is disabled"]


@pytest.mark.parametrize(
    ("number", "value"),
    [(0, ID.format(8)), (1, "other"), (2, "2026-11-23T12:00:00.000000+00:00"), (3, []), (4, None), (5, "0" * 64)],
)
def test_a_changed_event_is_refused_and_the_one_beside_it_stored(number: int, value: Any) -> None:
    record(changed(number, value, sign=False))

    assert [str(stored.message_id) for stored in StoredEvent.objects.all()] == [ID.format(1)]
    [(kind, reason, details)] = quarantined()
    assert (kind, details) == ("batch", {"task": RECORD_EVENTS})
    assert reason == "the signature does not fit what consumer/c1 is said to have sent"


def test_a_forged_event_is_refused() -> None:
    stranger = Keyring({"k1": b"a secret that nobody knows"})
    record(batch(event(1), keyring=stranger), batch(event(2), keyring=Keyring({"k9": b"of a kid that is none"})))

    assert not StoredEvent.objects.exists()
    assert not Node.objects.exists()
    assert [reason for _, reason, _ in quarantined()] == [
        "the signature does not fit what consumer/c1 is said to have sent",
        "no secret 'k9' in METERING_SECRETS",
    ]


def test_what_is_kept_of_a_refused_event_is_a_batch_that_can_be_sent_again() -> None:
    Node.objects.create(publisher="consumer/c1", role="consumer", name="c1", enabled=False)
    record(batch(event(1), ALL_TYPES))
    Node.objects.update(enabled=True)

    record(*(bytes(row.body).decode() for row in Quarantine.objects.all()))

    assert StoredEvent.objects.count() == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"header": {}}', batch(event(1)).replace("events/1", "events/2")])
def test_what_is_no_batch_of_events_is_kept(text: str) -> None:
    record(text, text)

    row = Quarantine.objects.get()
    assert (row.kind, bytes(row.body).decode(), row.count) == ("batch", text, 2)
    assert row.details == {"task": RECORD_EVENTS}


def test_an_event_that_the_database_refuses_is_alone_in_quarantine() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE event ADD CHECK (raw <> '{}')")
    record(batch(*(event(number, raw="{}" if number == 3 else None) for number in range(6))))

    assert StoredEvent.objects.count() == 5
    [(kind, reason, _)] = quarantined()
    assert kind == "batch"
    assert reason.startswith("the database refused it: new row for relation")


def test_the_task_stores_and_takes_a_batch_again() -> None:
    text = batch(Event(ID.format(1), "a", datetime.now(UTC), ()), publisher="consumer/c1", keyring=storage_keys())

    storage.record_events(text)
    storage.record_events(text)

    assert StoredEvent.objects.count() == 1


def storage_keys() -> Keyring:
    """Those of the settings with which the tests run."""
    pairs = (pair.partition(":") for pair in os.environ["METERING_SECRETS"].split(","))
    return Keyring({kid: secret.encode() for kid, _, secret in pairs})


scalars: dict[TraitType, st.SearchStrategy[Any]] = {
    TraitType.STRING: st.text(characters, max_size=20),
    TraitType.INTEGER: st.integers(-(1 << 63), (1 << 63) - 1),
    TraitType.FLOAT: st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0),
    TraitType.DATETIME: st.datetimes(timezones=st.just(UTC)),
}
traits = st.dictionaries(
    st.text(characters, min_size=1, max_size=10),
    st.sampled_from(TraitType).flatmap(lambda kind: st.tuples(st.just(kind), scalars[kind])),
    max_size=6,
).map(lambda held: tuple(Trait(name, kind, value) for name, (kind, value) in sorted(held.items())))
events = st.builds(
    Event,
    st.text(characters, min_size=1, max_size=40),
    st.text(characters, min_size=1, max_size=40),
    moments,
    traits,
    st.none() | st.just('{"a":"\\u0000"}'),
)


@many
@given(st.lists(events, max_size=3, unique_by=lambda item: item.message_id))
def test_whatever_an_event_may_hold_is_stored_and_given_back(told: list[Event]) -> None:
    StoredEvent.objects.all().delete()
    for text in pack(told, SIGNER):
        [sifted] = record(text)
        assert not sifted.refused
        for item, given_event in zip(sifted.genuine, told, strict=True):
            assert fields_of(item) == event_messages.fields_of(given_event)

    stored = StoredEvent.objects.select_related("event_type")
    assert {(row.shown_id, row.event_type.name, row.generated, tuple(row.trait_list()), row.raw) for row in stored} == {
        (item.message_id, item.event_type, item.generated, item.traits, item.raw) for item in told
    }
