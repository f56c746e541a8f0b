"""What reaches the store: every genuine sample once, whatever comes with it and however often."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from metering import messages
from metering.counters import Kind
from metering.messages import Poll
from metering.models import (
    ForeignId,
    Node,
    PollSlot,
    Quarantine,
    Resource,
    Sample,
    SampleOriginal,
    Series,
    Signer,
    ToldMetadata,
)
from metering.sifting import Sifter
from metering.signing import Keyring
from metering.store import keys, writing
from metering.store import reading as stored_reading
from tests.factories import NOON, at, reading
from tests.metering.storing import RULES, batch, faults, foreign, quarantined, record, samples, stored, volumes, whole

pytestmark = pytest.mark.usefixtures("ledger")


def test_a_sample_is_stored_as_it_was_read() -> None:
    record(batch(reading(42e6, 1.5, origin="o", metadata={"name": "web", "vcpus": 2})))

    [sample] = samples()
    series = sample.series
    assert (series.source, series.meter, series.type, series.unit) == ("openstack", "cpu", "cumulative", "ns")
    assert (series.resource_id, series.user_id, series.project_id) == ("web-1", "ruth", "red")
    assert (sample.volume, sample.ts) == (42e6, at(1.5))
    assert sample.metadata.body == '{"name":"web","vcpus":2}'
    assert sample.metadata.document == {"name": "web", "vcpus": 2}
    assert (sample.signer.scheme, sample.signer.kid, sample.signer.publisher) == ("n1", "k1", "compute/host-1")
    assert series.tag == int.from_bytes(bytes(series.digest)[:4], "big")
    assert SampleOriginal.objects.count() == ForeignId.objects.count() == 0


def test_a_batch_that_comes_again_changes_nothing() -> None:
    text = batch(reading(1, origin="o"), reading(2, 1, origin="o"))
    record(text)
    before = list(Sample.objects.order_by("pk").values())

    record(text, text)

    assert list(Sample.objects.order_by("pk").values()) == before
    assert quarantined() == []


def test_a_batch_of_which_a_part_is_known_adds_the_rest() -> None:
    readings = [reading(number, number, origin="o") for number in range(10)]
    record(batch(*readings[2:5]))

    record(batch(*readings))

    assert volumes() == list(range(10))


def test_the_same_reading_in_another_batch_is_the_same_row() -> None:
    again = reading(1, origin="o")
    record(batch(again), batch(reading(5, 7, origin="o"), again))

    assert volumes() == [1, 5]


def test_a_message_twice_in_one_batch_is_one_row() -> None:
    message = foreign()
    record(whole(message, message))

    assert (volumes(), faults()) == ([7], [])


def test_the_outcome_counts_what_was_stored_known_and_refused() -> None:
    readings = [reading(number, number, origin="o") for number in range(4)]
    record(batch(*readings[:1]))
    parts = json.loads(batch(*readings))
    parts["rows"][3][3] = 99.0

    sifted = Sifter(RULES).sift(messages.read(json.dumps(parts)), at())

    assert writing.record(sifted, at()) == writing.Outcome(stored=2, known=1, refused=1)


def test_a_message_that_says_something_else_than_its_row_is_kept_apart_and_the_row_stays() -> None:
    record(batch(reading(1, origin="o"), reading(2, 1, origin="o")))

    [sifted] = record(
        batch(reading(9, origin="o"), reading(2, 1, origin="o", metadata={"a": 1}), reading(3, 2, origin="o"))
    )

    assert (volumes(), faults()) == ([1, 2, 3], [])
    assert quarantined() == [("differs from what is stored", 1)] * 2
    assert {json.loads(bytes(kept.body))["counter_volume"] for kept in Quarantine.objects.all()} == {9, 2}
    assert [item.volume for item in sifted.genuine] == [3]  # what others may be told is what is stored


def test_two_of_one_id_that_differ_in_one_batch_are_one_row_and_one_in_quarantine() -> None:
    record(whole(foreign(counter_volume=1.5), foreign(counter_volume=2.5)))

    assert len(samples()) == 1
    assert quarantined() == [("differs from what is stored", 1)]


def test_a_message_that_differs_changes_nothing_of_its_resource() -> None:
    record(batch(reading(1, origin="o", metadata={"name": "true"})))

    record(batch(reading(1, origin="o", metadata={"name": "false"})))

    assert Resource.objects.get().metadata.body == '{"name":"true"}'


def test_the_same_reading_signed_by_another_publisher_does_not_differ() -> None:
    record(batch(reading(1, origin="o"), publisher="consumer/one"))
    record(batch(reading(1, origin="o"), publisher="consumer/two"))

    assert (volumes(), quarantined()) == ([1], [])


def test_half_a_batch_that_is_bad_costs_only_itself() -> None:
    parts = json.loads(batch(*(reading(number, number, resource=f"r-{number}", origin="o") for number in range(10))))
    for number in range(0, 10, 2):
        parts["rows"][number][3] = 1_000.0 + number

    record(json.dumps(parts))

    assert volumes() == [1, 3, 5, 7, 9]
    assert quarantined() == [("the signature does not fit what compute/host-1 is said to have sent", 1)] * 5
    kept = {json.loads(bytes(row.body))["counter_volume"] for row in Quarantine.objects.all()}
    assert kept == {1_000.0, 1_002.0, 1_004.0, 1_006.0, 1_008.0}


def test_samples_come_late_and_out_of_order() -> None:
    days = [3, -2, 0, -28, 1]
    record(*(batch(reading(day, day * 86_400, origin="o")) for day in days))

    assert volumes() == sorted(days)
    assert {sample.ts for sample in samples()} == {NOON + timedelta(days=day) for day in days}


def test_a_batch_may_reach_over_midnight_and_many_days() -> None:
    record(batch(*(reading(day, day * 86_400, origin="o") for day in range(-5, 5))))

    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT tableoid::regclass::text FROM sample ORDER BY 1")
        partitions = [name for (name,) in cursor.fetchall()]
    assert len(partitions) == 10
    assert partitions[0] == "sample_20261118"


def test_a_sample_lies_in_the_partition_of_its_day_also_at_midnight() -> None:
    midnight = 12 * 3_600
    record(batch(reading(1, midnight - 1e-6, origin="o"), reading(2, midnight, origin="o")))

    with connection.cursor() as cursor:
        cursor.execute("SELECT volume, tableoid::regclass::text FROM sample ORDER BY volume")
        assert cursor.fetchall() == [(1.0, "sample_20261123"), (2.0, "sample_20261124")]


@pytest.mark.parametrize(
    "volume",
    [
        0.1,
        -0.0,
        0.0,
        5e-324,
        2.2250738585072014e-308,
        1.7976931348623157e308,
        -1e22,
        2.0**53 + 2,
        1 / 3,
        123456789.123456789,
    ],
)
def test_a_volume_comes_back_bit_for_bit_also_when_it_was_inserted_beside_a_known_one(volume: float) -> None:
    known = reading(1, origin="o")
    record(batch(known), batch(known, reading(volume, 1, origin="o")), batch(reading(volume, 2, origin="o")))

    assert [found.hex() for found in volumes()[1:]] == [volume.hex()] * 2
    assert faults() == []


@pytest.mark.parametrize(
    "text", ["\\N", "\\.", "a\tb", "a\nb", "{}", "NULL", '"', "'", "$1 %s", "--", "\x01\x7f", "ü🚀"]
)
def test_no_text_is_taken_for_anything_else_by_the_database(text: str) -> None:
    record(batch(reading(1, resource=text, project=text, user=text, meter=text, unit=text, metadata={text: text})))
    record(whole(foreign(message_id=text, resource_id=text, extra=text)))

    assert {sample.series.resource_id for sample in samples()} == {text}
    assert (len(samples()), faults()) == (2, [])


def test_texts_at_their_bounds_fit_into_every_index() -> None:
    letters = random.Random(7)  # which no page can compress
    a, b, c, d, e = ("".join(letters.choices("abcdefghijklmnop0123456789", k=1_024)) for _ in range(5))
    wide = "".join(chr(letters.randrange(0x4E00, 0x9FFF)) for _ in range(433))
    record(
        batch(reading(1, meter=a, resource=b, project=c, user=d, unit=e)),
        batch(reading(2, meter=wide, resource=wide, project=wide, user=wide, unit=wide)),
        whole(foreign(source=a, resource_id=b, publisher_id=c, message_id=d)),
    )

    assert len(samples()) == 3
    assert quarantined() == []


def test_null_and_empty_owners_are_two_series() -> None:
    record(batch(*(reading(number, origin="o", project=owner) for number, owner in enumerate([None, "", "red"]))))

    assert Series.objects.count() == 3
    assert faults() == []


def test_which_resource_has_told_which_metadata_is_noted_once() -> None:
    told = [
        reading(number, number, origin=f"o{number}", resource=resource, metadata={"host": host})
        for number, (resource, host) in enumerate([("web", "a"), ("db", "a"), ("web", "b"), ("web", "a")])
    ]
    record(batch(*told[:2]))
    record(batch(*told))
    keys.forget()  # as another process, which knows of nothing
    record(batch(*told))

    noted = ToldMetadata.objects.values_list("metadata__body", "resource_id")
    assert sorted(noted) == [('{"host":"a"}', "db"), ('{"host":"a"}', "web"), ('{"host":"b"}', "web")]


def test_each_publisher_is_stored_once() -> None:
    for publisher in ("compute/host-1", "compute/host-2"):
        record(*(batch(reading(1, number, origin="o", resource=publisher), publisher=publisher) for number in range(2)))

    assert Signer.objects.count() == 2


FOREIGN: list[dict[str, Any]] = [
    {"counter_volume": 1},
    {"counter_volume": 1.0},
    {"counter_volume": 2**70},
    {"timestamp": "2026-11-23 11:59:00"},
    {"timestamp": "2026-11-23T11:59:00Z"},
    {"timestamp": "2026-11-23T13:59:00.5+02:00"},
    {"message_id": "no uuid at all"},
    {"message_id": "2D6E0F7A-C86A-11F0-8DE9-0242AC120002"},
    {"monotonic_time": 1.5},
    {"user_name": "Ruth", "project_name": "größe"},
    {"user_id": ...},
    {"resource_metadata": ...},
    {"counter_unit": ...},
    {"publisher_id": "telemetry"},
    {"resource_metadata": {"nul": "\0", "n": 1e22, "z": -0.0, "deep": {"a": [1, 1.0, True]}}},
]


@pytest.mark.parametrize("changed", FOREIGN, ids=range(len(FOREIGN)))
def test_a_foreign_message_is_kept_so_that_it_gives_back_what_was_signed(changed: dict[str, Any]) -> None:
    message = foreign(**changed)
    record(whole(message), whole(message))

    [(sample, original)] = stored()
    assert original is not None
    assert json.loads(original) == message
    assert sample.volume == float(message["counter_volume"])
    assert (faults(), quarantined()) == ([], [])


def test_a_foreign_id_finds_its_row() -> None:
    record(whole(foreign()))

    [sample] = samples()
    assert list(Sample.objects.with_message_id(sample.message_id)) == [sample]
    assert ForeignId.objects.get().message_id == sample.message_id


def test_our_own_id_finds_its_row_without_a_table() -> None:
    record(batch(reading(1, origin="o"), reading(2, 1, origin="o")))

    for sample in samples():
        assert list(Sample.objects.with_message_id(sample.message_id)) == [sample]
    assert ForeignId.objects.count() == 0


def test_a_message_that_takes_the_id_of_a_known_one_does_not_speak_for_it() -> None:
    plain = {"timestamp": "2026-11-23T11:59:00.123456+00:00", "publisher_id": "agent"}
    first = foreign(**plain, counter_volume=1.0)
    other = foreign(**plain, counter_volume=2.0, extra="field")  # of the same key, kept with its text

    record(whole(first), whole(other), whole(other, first))

    assert (volumes(), faults()) == ([1.0], [])


def test_a_message_kept_with_its_text_is_not_spoken_for_by_a_later_one_of_its_id() -> None:
    first, other = foreign(counter_volume=1), foreign(counter_volume=2, extra="field")

    record(whole(other, first))

    assert (len(samples()), faults()) == (1, [])


def test_a_message_by_the_shared_secret_cannot_spoil_a_sample_of_ours() -> None:
    [message] = messages.unpack(batch(reading(1, origin="o")))
    record(batch(reading(1, origin="o")))
    forged = foreign(**{name: value for name, value in message.items() if name != "message_signature"}, extra="field")

    record(whole(forged))

    assert (volumes(), faults()) == ([1], [])


def test_a_sample_of_a_rotated_secret_stays_verifiable_as_long_as_the_secret_is_listed() -> None:
    old, new = {"k1": b"a secret of the tests"}, {"k2": b"a newer secret of the tests"}
    record(batch(reading(1, origin="o")))

    [(sample, original)] = stored()
    assert stored_reading.fault(sample, original, Keyring(new | old), ()) is None
    assert stored_reading.fault(sample, original, Keyring(new), ()) == "no secret 'k1' in METERING_SECRETS"


def test_a_batch_of_nothing_is_no_row() -> None:
    record(batch(poll=Poll("default", 7, 0, NOON, 0)))

    assert samples() == []


def test_a_disabled_publisher_s_samples_go_to_quarantine() -> None:
    record(batch(reading(1)))
    Node.objects.filter(publisher="compute/host-1").update(enabled=False)

    record(batch(reading(2, 1)), batch(reading(3, 2), publisher="compute/host-2"))

    assert volumes() == [1, 3]
    assert quarantined() == [("the publisher compute/host-1 is disabled", 1)]


def test_a_text_that_is_no_batch_is_kept_as_it_came() -> None:
    record("no batch \ud800 at all")

    [row] = Quarantine.objects.all()
    assert (row.kind, bytes(row.body)) == ("batch", "no batch \ud800 at all".encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_message_that_the_database_refuses_is_alone_in_quarantine(most: int) -> None:
    """The database may know better than we: here a rule of its own."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE resource ADD CONSTRAINT no_monday CHECK (resource_id NOT LIKE 'monday%')")
    good = [reading(number, number, resource=f"r-{number}", origin="o") for number in range(20)]
    bad = [reading(90 + number, 90 + number, resource=f"monday-{number}", origin="o") for number in range(most)]

    record(batch(*bad[:1], *good[:7], *bad[1:], *good[7:], poll=Poll("default", 7, 0, NOON, 20)))

    assert volumes() == list(range(20))
    found = Quarantine.objects.all()
    assert {json.loads(bytes(row.body))["resource_id"] for row in found} == {f"monday-{n}" for n in range(most)}
    assert all("no_monday" in row.reason and row.publisher == "compute/host-1" for row in found)
    assert [row.count for row in found] == [1] * most

    assert PollSlot.objects.get().samples == 20 + most  # what the host says that it sent


def test_what_was_refused_with_a_message_that_the_database_refuses_is_kept_once() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE resource ADD CONSTRAINT no_monday CHECK (resource_id NOT LIKE 'monday%')")
    parts = json.loads(
        batch(*(reading(n, n, resource=("monday" if n == 2 else f"r-{n}"), origin="o") for n in range(5)))
    )
    parts["rows"][4][3] = 99.0

    record(json.dumps(parts))

    assert volumes() == [0, 1, 3]
    assert sorted(count for _, count in quarantined()) == [1, 1]


def test_a_kind_that_is_an_enumeration_is_stored_as_its_word() -> None:
    record(batch(reading(1, kind=Kind.DELTA)))

    assert Series.objects.get().type == "delta"
